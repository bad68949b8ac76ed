package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"xrx/internal/netdev"
	"xrx/internal/steering"
	"xrx/internal/tune"
)

// steerOptions are what steer is asked to change.
type steerOptions struct {
	channels, rss, rssKey, rssFunction string
	flowHash, rules                    []string
	remove                             []int
	undo, force, json                  bool
	stateDir                           string
}

func (o *steerOptions) changing() bool {
	return o.channels != "" || o.rss != "" || o.rssKey != "" || o.rssFunction != "" || len(o.flowHash)+len(o.rules)+len(o.remove) > 0
}

func newSteerCmd(e env) *cobra.Command {
	var o steerOptions
	c := &cobra.Command{
		Use:   "steer IFACE",
		Short: "Show and set how an interface chooses the rx queue of a packet: channels, RSS, flow rules",
		Long: "steer shows how many queues the interface has, how RSS spreads flows over them, and the flow rules (ntuple filters)\n" +
			"that come before it; what the driver doesn't do is said with its reason. It sets what flags ask for, all or nothing,\n" +
			"and --undo puts back what all calls since the last --undo have changed.",
		Example: "  xrx steer eth1\n" +
			"  xrx steer eth1 --channels 4 --rss 2,3 --rule 'tcp dst-port 443 queue 1'\n" +
			"  xrx steer eth1 --undo",
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if o.undo && o.changing() {
				return usagef("--undo goes alone")
			}
			if o.force && !o.undo {
				return usagef("--force is for --undo")
			}
			runtime.LockOSThread() // one thread's namespace
			defer runtime.UnlockOSThread()
			return steer(e, args[0], o)
		},
	}
	fs := c.Flags()
	fs.BoolVar(&o.json, "json", false, "one JSON object instead of text")
	fs.StringVar(&o.channels, "channels", "", "channels: a number N (combined ones, or rx where the driver has separate ones), or like rx=4,tx=2 or combined=4")
	fs.StringVar(&o.rss, "rss", "", "RSS table: default, equal=N, weights=W0,W1,..., or queues that take turns, like 0,2")
	fs.StringVar(&o.rssKey, "rss-key", "", "key of the RSS hash, in hexadecimal digits")
	fs.StringVar(&o.rssFunction, "rss-function", "", "hash function of RSS: toeplitz, xor or crc32")
	fs.StringArrayVar(&o.flowHash, "flow-hash", nil, "fields that are hashed, like tcp4=sdfn: s, d addresses, f, n ports, v VLAN (may be repeated)")
	fs.StringArrayVar(&o.rules, "rule", nil, "add a flow rule, like 'tcp dst-port 443 queue 2' or 'udp6 src-ip 2001:db8::/32 drop' (may be repeated)")
	fs.IntSliceVar(&o.remove, "delete-rule", nil, "delete the flow rule with this number (may be repeated)")
	fs.BoolVar(&o.undo, "undo", false, "put back everything that xrx steer has changed")
	fs.BoolVar(&o.force, "force", false, "with --undo: also what somebody has changed since")
	registerStateDir(fs, &o.stateDir)
	return c
}

func steer(e env, iface string, o steerOptions) (err error) {
	s, err := tune.OpenSession(iface, "steer", o.stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch {
	case o.undo:
		return undoSteering(e, s, iface, o.force)
	case o.changing():
		changes, err := o.plan(s.Iface, iface)
		if err != nil {
			return err
		}
		if err := applySteering(e, s, iface, changes); err != nil {
			return err
		}
	}
	shown, err := newSteeringReport(s, iface)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(e.stdout).Encode(shown)
	}
	return shown.write(e.stdout)
}

// applySteering makes all changes or none.
func applySteering(e env, s *tune.Session, iface string, changes []tune.Change) error {
	state, err := s.ApplyAll(changes)
	if err != nil {
		return fmt.Errorf("%s: %w", iface, err)
	}
	for _, entry := range state {
		if entry.Wanted != "" {
			fmt.Fprintln(e.stderr, "xrx: set:", plainEntry(entry))
		}
	}
	return nil
}

// plainEntry says what was set, rules as text.
func plainEntry(e *tune.Entry) string {
	c := *e
	c.Got, c.Wanted, c.Original = tune.Readable(c.Key, c.Got), tune.Readable(c.Key, c.Wanted), tune.Readable(c.Key, c.Original)
	return c.String()
}

func undoSteering(e env, s *tune.Session, iface string, force bool) error {
	r, err := s.Restore(force)
	if r == nil {
		if err == nil {
			fmt.Fprintln(e.stdout, "nothing to undo: xrx steer has changed nothing of", iface)
		}
		return err
	}
	for _, entry := range r.Restored {
		fmt.Fprintf(e.stdout, "%s is %s again\n", entry.Key, tune.Readable(entry.Key, entry.Original))
	}
	errs := []error{err}
	for _, entry := range r.Left {
		errs = append(errs, errors.New(entry.Why))
	}
	if len(r.Left) > 0 {
		errs = append(errs, errors.New("left as it is (--force puts it back all the same)"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", iface, err)
	}
	return nil
}

// steeringReport is what steer shows.
type steeringReport struct {
	Interface string                `json:"iface"`
	Driver    string                `json:"driver"`
	Channels  *netdev.ChannelCounts `json:"channels,omitempty"`
	RSS       *rssReport            `json:"rss,omitempty"`
	FlowHash  map[string]string     `json:"flow_hash,omitempty"`
	NTuple    string                `json:"ntuple,omitempty"` // on: rules are looked at
	Rules     []string              `json:"rules"`
	Refused   map[string]string     `json:"refused,omitempty"` // what the driver hasn't got, and why
	Undo      []string              `json:"undo,omitempty"`    // what --undo would put back
}

type rssReport struct {
	Function string `json:"function,omitempty"`
	Key      string `json:"key,omitempty"`
	Table    []int  `json:"table"`
	Default  bool   `json:"default"` // as the kernel makes it
}

func newSteeringReport(s *tune.Session, iface string) (*steeringReport, error) {
	info, err := netdev.Get(iface)
	if err != nil {
		return nil, err
	}
	r := &steeringReport{Interface: iface, Driver: info.Driver, Rules: []string{}, FlowHash: map[string]string{}, Refused: map[string]string{}}
	if c, err := s.Iface.ChannelCounts(); err != nil {
		r.Refused["channels"] = err.Error()
	} else {
		r.Channels = &c
	}
	tables, errs := s.Iface.Tables(iface, info.Queues)
	for what, err := range errs {
		r.Refused[what] = err.Error()
	}
	if tables.RSS != nil {
		r.RSS = &rssReport{Table: tables.RSS}
		text, _ := s.Iface.Get(tune.RSSTable)
		r.RSS.Default = text == tune.Default
		r.RSS.Function, _ = s.Iface.Get(tune.RSSFunction)
		r.RSS.Key, _ = s.Iface.Get(tune.RSSKey)
	}
	for _, flow := range tune.HashFlows() {
		if fields, err := s.Iface.Get(tune.FlowHash(flow)); err == nil {
			r.FlowHash[flow] = fields
		}
	}
	if errs["rules"] == nil {
		r.NTuple, _ = s.Iface.Get(tune.NTuple)
	}
	for _, rule := range tables.Rules {
		r.Rules = append(r.Rules, rule.String())
	}
	state, err := s.Stale()
	if state != nil {
		for _, e := range state.Entries {
			if e.Wanted != "" && (e.Phase == tune.Written || e.Phase == tune.Writing) {
				r.Undo = append(r.Undo, e.Key+" to "+tune.Readable(e.Key, e.Original))
			}
		}
	}
	return r, err
}

func (r *steeringReport) write(w io.Writer) error {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s "+format+"\n", append([]any{label}, args...)...)
	}
	driver := r.Driver
	if driver == "" {
		driver = "no driver's name"
	}
	line("interface", "%s, %s", r.Interface, driver)
	refused := func(label, what string) {
		if why := r.Refused[what]; why != "" {
			line(label, "not to be had: %s", why)
		}
	}
	if c := r.Channels; c != nil {
		line("channels", "rx %d of %d, tx %d of %d, combined %d of %d", c.Rx, c.MaxRx, c.Tx, c.MaxTx, c.Combined, c.MaxCombined)
	}
	refused("channels", "channels")
	if r.RSS != nil {
		kind := ""
		if r.RSS.Default {
			kind = ", the default"
		}
		line("rss", "%s over %d entries%s: %s", r.RSS.Function, len(r.RSS.Table), kind, shares(r.RSS.Table))
		if r.RSS.Key != "" {
			line("", "key %s", r.RSS.Key)
		}
	}
	refused("rss", tune.RSSTable)
	var hashes []string
	for _, flow := range tune.HashFlows() {
		if fields := r.FlowHash[flow]; fields != "" {
			hashes = append(hashes, flow+"="+fields)
		}
	}
	if hashes != nil {
		line("flow hash", "%s", strings.Join(hashes, " "))
	}
	if r.Refused["rules"] == "" {
		line("rules", "%d, ntuple filters are %s", len(r.Rules), r.NTuple)
	}
	for _, rule := range r.Rules {
		line("", "%s", rule)
	}
	refused("rules", "rules")
	for i, u := range r.Undo {
		line([]string{"--undo", ""}[min(i, 1)], "%s", u)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shares tells how many entries of the table each queue has.
func shares(table []int) string {
	count := map[int]int{}
	most := 0
	for _, q := range table {
		count[q]++
		most = max(most, q)
	}
	var parts []string
	for q := range most + 1 {
		if count[q] > 0 {
			parts = append(parts, fmt.Sprintf("queue %d has %d", q, count[q]))
		}
	}
	return strings.Join(parts, ", ")
}

// readRule is a rule of the command line.
func readRule(text string) (steering.Rule, error) {
	r, err := steering.ParseRule(text)
	if err != nil {
		return r, usagef("--rule %q: %v", text, err)
	}
	return r, nil
}
