package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"xrx/internal/netdev"
	"xrx/internal/steering"
	"xrx/internal/tune"
)

// plan turns the flags into changes, in the order in which they depend on each other: queues before what leads to them.
func (o *steerOptions) plan(i *tune.Interface, iface string) (list []tune.Change, err error) {
	add := func(key, value string) { list = append(list, tune.Change{Key: key, Value: value}) }
	rules := make([]steering.Rule, len(o.rules))
	for n, text := range o.rules { // what can't be meant is said before anything is asked of the driver
		if rules[n], err = readRule(text); err != nil {
			return nil, err
		}
	}
	info, err := netdev.Get(iface)
	if err != nil {
		return nil, err
	}
	queues := info.Queues
	if o.channels != "" {
		value, rx, err := planChannels(o.channels, i)
		if err != nil {
			return nil, err
		}
		add(tune.Channels, value)
		queues = rx
	}
	if o.rssFunction != "" {
		add(tune.RSSFunction, o.rssFunction)
	}
	if o.rssKey != "" {
		key := strings.ToLower(strings.ReplaceAll(o.rssKey, ":", ""))
		if _, err := hex.DecodeString(key); err != nil {
			return nil, usagef("--rss-key: want hexadecimal digits")
		}
		add(tune.RSSKey, key)
	}
	if o.rss != "" {
		value, err := planRSS(o.rss, i, queues, o.channels != "")
		if err != nil {
			return nil, err
		}
		add(tune.RSSTable, value)
	}
	for _, text := range o.flowHash {
		flow, letters, ok := strings.Cut(text, "=")
		if !ok || !slices.Contains(tune.HashFlows(), flow) {
			return nil, usagef("--flow-hash %q: want one like tcp4=sdfn, of %s", text, strings.Join(tune.HashFlows(), ", "))
		}
		value, err := tune.CanonicalFields(letters)
		if err != nil {
			return nil, usagef("--flow-hash %v", err)
		}
		add(tune.FlowHash(flow), value)
	}
	for _, location := range o.remove {
		now, err := i.Get(tune.Rule(location))
		if err == nil && now == tune.NoRule {
			err = fmt.Errorf("there is no flow rule %d (xrx steer %s)", location, iface)
		}
		if err != nil {
			return nil, err
		}
		add(tune.Rule(location), tune.NoRule)
	}
	if len(rules) > 0 {
		placed, err := placeRules(rules, i, queues)
		if err != nil {
			return nil, err
		}
		add(tune.NTuple, "on")
		list = append(list, placed...)
	}
	for _, key := range []string{tune.RSSTable, tune.RSSKey, tune.RSSFunction} { // drivers change one along with another, and with the channels
		list = append(list, tune.Change{Key: key})
	}
	return list, nil
}

// planChannels returns the value, and the number of rx queues that it makes.
func planChannels(text string, i *tune.Interface) (value string, rx int, err error) {
	parts := map[string]int{}
	for word := range strings.SplitSeq(text, ",") {
		name, number, named := strings.Cut(word, "=")
		if !named {
			name, number = "", word
		}
		n, err := strconv.Atoi(number)
		if _, twice := parts[name]; err != nil || n < 0 || twice || !slices.Contains([]string{"", "rx", "tx", "other", "combined"}, name) {
			return "", 0, usagef("--channels %q: want a number, or like rx=4,tx=2 or combined=4", text)
		}
		parts[name] = n
	}
	c, err := i.ChannelCounts()
	if err != nil {
		return "", 0, err
	}
	for name, n := range parts {
		switch {
		case name == "rx", name == "" && c.MaxCombined == 0:
			c.Rx = n
		case name == "tx":
			c.Tx = n
		case name == "other":
			c.Other = n
		default:
			c.Combined = n
		}
	}
	if c.Rx+c.Combined == 0 {
		return "", 0, usagef("--channels %q leaves no rx queue", text)
	}
	return tune.FormatChannels(c), c.Rx + c.Combined, nil
}

// planRSS returns the value of the table; changing: with another number of queues, for which Default is another table.
func planRSS(spec string, i *tune.Interface, queues int, changing bool) (string, error) {
	if spec == tune.Default {
		return spec, nil
	}
	entries, _, err := i.RSSEntries()
	if err != nil {
		return "", err
	}
	table, err := steering.Table(spec, entries, queues)
	if err != nil {
		return "", usagef("--rss %v", err)
	}
	if changing {
		return tune.TableText(table), nil
	}
	return i.TableValue(table), nil
}

// placeRules gives each rule without a place one that is free.
func placeRules(rules []steering.Rule, i *tune.Interface, queues int) (list []tune.Change, err error) {
	free, err := i.RulePlaces()
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		if !r.Drop && r.VF == 0 && r.Queue >= queues {
			return nil, usagef("--rule %q: there is no rx queue %d: want 0 to %d", r, r.Queue, queues-1)
		}
		if r.Location < 0 {
			if len(free) == 0 {
				return nil, fmt.Errorf("--rule %q: no free place among the driver's flow rules, or it chooses them by itself: say loc N, or delete one", r)
			}
			r.Location = free[0]
		}
		free = slices.DeleteFunc(free, func(location int) bool { return location == r.Location })
		list = append(list, tune.Change{Key: tune.Rule(r.Location), Value: tune.RuleValue(r.Spec())})
	}
	return list, nil
}
