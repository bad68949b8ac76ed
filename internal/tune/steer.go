package tune

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"xrx/internal/netdev"
	"xrx/internal/steering"
)

// Keys of steering.
const (
	Channels    = "channels"     // "rx 4 tx 4 other 0 combined 0"
	RSSTable    = "rss-table"    // the queue of each bucket, or Default
	RSSKey      = "rss-key"      // in hexadecimal digits
	RSSFunction = "rss-function" // one of hashFunctions
	NTuple      = "ntuple"       // on, off: whether flow rules are looked at

	Default = "default" // an RSS table that spreads over all queues in turn, as the kernel makes it where nobody has set one
	NoRule  = "none"

	ruleKey   = "rule " // and a place: "rule 15"; NoRule or the kernel's structure in hexadecimal digits
	fieldsKey = "flow-hash "
)

// Rule is the key of the flow rule at a place; FlowHash, of the fields of a flow type that are hashed.
func Rule(location int) string         { return ruleKey + strconv.Itoa(location) }
func FlowHash(flow string) string      { return fieldsKey + flow }
func RuleValue(s steering.Spec) string { return hex.EncodeToString(s[:]) }

// hashFunctions are the kernel's names of ETH_RSS_HASH_*, by bit (rss_hash_func_strings in net/ethtool/common.c at v6.18).
var hashFunctions = []string{"toeplitz", "xor", "crc32"}

// hashFlows are the flow types whose fields can be chosen: include/uapi/linux/ethtool.h.
var hashFlows = map[string]uint32{"tcp4": 0x01, "udp4": 0x02, "sctp4": 0x03, "tcp6": 0x05, "udp6": 0x06, "sctp6": 0x07, "ip4": 0x10, "ip6": 0x11}

// HashFlows names them.
func HashFlows() []string {
	return []string{"tcp4", "udp4", "sctp4", "ip4", "tcp6", "udp6", "sctp6", "ip6"}
}

// hashFields are the letters of ethtool -N rx-flow-hash by bit, RXH_*.
const hashFields = "?mvtsdfn"

func fieldLetters(bits uint64) string {
	var b strings.Builder
	for i, letter := range hashFields {
		if bits&(1<<i) != 0 {
			b.WriteRune(letter)
		}
	}
	if bits&(1<<31) != 0 {
		b.WriteByte('r')
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// ParseFields reads letters of ethtool: s and d addresses, f and n ports, and so on.
func ParseFields(letters string) (bits uint64, err error) {
	if letters == "none" {
		return 0, nil
	}
	for _, letter := range letters {
		n := strings.IndexRune(hashFields[1:], letter) + 1
		switch {
		case letter == 'r':
			n = 31
		case n == 0:
			return 0, fmt.Errorf("%q: want letters of: s source address, d destination address, f source port, n destination port, m MAC, v VLAN, t protocol, r drop", letters)
		}
		bits |= 1 << n
	}
	return bits, nil
}

// CanonicalFields returns letters of ParseFields as Get gives them.
func CanonicalFields(letters string) (string, error) {
	bits, err := ParseFields(letters)
	return fieldLetters(bits), err
}

// Readable is a value as a person reads it: rules as text.
func Readable(key, value string) string {
	if !strings.HasPrefix(key, ruleKey) || value == NoRule {
		return value
	}
	b, err := hex.DecodeString(value)
	if err != nil || len(b) != netdev.FlowSpecSize {
		return value
	}
	return strconv.Quote(steering.FromSpec(steering.Spec(b)).String())
}

// FormatChannels is the value of Channels.
func FormatChannels(c netdev.ChannelCounts) string {
	return fmt.Sprintf("rx %d tx %d other %d combined %d", c.Rx, c.Tx, c.Other, c.Combined)
}

// getSteering reads a setting; known: it is one of the above.
func (i *Interface) getSteering(key string) (value string, known bool, err error) {
	switch {
	case key == Channels:
		c, err := i.dev.Channels()
		return FormatChannels(c), true, err
	case key == RSSTable || key == RSSKey || key == RSSFunction:
		r, err := i.dev.RSS()
		if err != nil {
			return "", true, err
		}
		value, err := i.rssValue(key, r)
		return value, true, err
	case key == NTuple:
		on, err := i.dev.NTuple()
		return map[bool]string{true: "on", false: "off"}[on], true, err
	case strings.HasPrefix(key, fieldsKey):
		bits, err := i.dev.HashFields(hashFlows[key[len(fieldsKey):]])
		return fieldLetters(bits), true, err
	case strings.HasPrefix(key, ruleKey):
		location, err := strconv.Atoi(key[len(ruleKey):])
		if err != nil {
			return "", true, err
		}
		locations, _, err := i.dev.Rules()
		if err != nil || !slices.Contains(locations, location) {
			return NoRule, true, err
		}
		s, err := i.dev.Rule(location)
		return RuleValue(steering.Spec(s)), true, err
	}
	return "", false, nil
}

func errNoRSS(what string) error {
	return fmt.Errorf("%w: the driver has RSS, but no %s", syscall.EOPNOTSUPP, what)
}

func (i *Interface) rssValue(key string, r netdev.RSS) (string, error) {
	switch key {
	case RSSKey:
		if len(r.Key) == 0 {
			return "", errNoRSS("key")
		}
		return hex.EncodeToString(r.Key), nil
	case RSSFunction:
		for bit, name := range hashFunctions {
			if r.Function == 1<<bit {
				return name, nil
			}
		}
		return "", errNoRSS("choice of hash functions")
	}
	if len(r.Table) == 0 {
		return "", errNoRSS("table")
	}
	return i.TableValue(r.Table), nil
}

// TableText is the value of RSSTable for a table that is not to follow the number of queues.
func TableText(table []int) string { return strings.Trim(fmt.Sprint(table), "[]") }

// TableValue is the value of RSSTable for a table.
func (i *Interface) TableValue(table []int) string {
	if rings, err := i.dev.HashRings(); err == nil && rings > 0 {
		standard := true // ethtool_rxfh_indir_default in include/linux/ethtool.h at v6.18
		for n, queue := range table {
			standard = standard && queue == n%rings
		}
		if standard {
			return Default
		}
	}
	return TableText(table)
}

func (i *Interface) setSteering(key, value string) (known bool, err error) {
	switch {
	case key == Channels:
		now, err := i.dev.Channels()
		if err != nil {
			return true, err
		}
		if _, err := fmt.Sscanf(value, "rx %d tx %d other %d combined %d", &now.Rx, &now.Tx, &now.Other, &now.Combined); err != nil {
			return true, fmt.Errorf("%q: %w", value, err)
		}
		return true, i.dev.SetChannels(now)
	case key == RSSTable:
		table := []int{}
		if value != Default {
			for word := range strings.FieldsSeq(value) {
				n, err := strconv.Atoi(word)
				if err != nil {
					return true, err
				}
				table = append(table, n)
			}
		}
		return true, i.dev.SetRSS(netdev.RSS{Table: table})
	case key == RSSKey:
		k, err := hex.DecodeString(value)
		if err != nil {
			return true, err
		}
		return true, i.dev.SetRSS(netdev.RSS{Key: k})
	case key == RSSFunction:
		n := slices.Index(hashFunctions, value)
		if n < 0 {
			return true, fmt.Errorf("%q: want one of %s", value, strings.Join(hashFunctions, ", "))
		}
		return true, i.dev.SetRSS(netdev.RSS{Function: 1 << n})
	case key == NTuple:
		return true, i.dev.SetNTuple(value == "on")
	case strings.HasPrefix(key, fieldsKey):
		bits, err := ParseFields(value)
		if err != nil {
			return true, err
		}
		return true, i.dev.SetHashFields(hashFlows[key[len(fieldsKey):]], bits)
	case strings.HasPrefix(key, ruleKey):
		location, err := strconv.Atoi(key[len(ruleKey):])
		if err != nil {
			return true, err
		}
		if value == NoRule {
			return true, i.dev.DeleteRule(location)
		}
		b, err := hex.DecodeString(value)
		if err != nil || len(b) != netdev.FlowSpecSize {
			return true, fmt.Errorf("a rule of %d bytes", len(b))
		}
		return true, i.dev.SetRule(netdev.FlowSpec(b).At(location))
	}
	return false, nil
}

// Tables reads how the interface steers. What the driver doesn't show is left out; the errors say why, by key.
func (i *Interface) Tables(name string, queues int) (t steering.Tables, errs map[string]error) {
	t, errs = steering.Tables{Interface: name, Queues: queues}, map[string]error{}
	if r, err := i.dev.RSS(); err != nil {
		errs[RSSTable] = i.explain(RSSTable, err)
	} else {
		t.RSS = r.Table
	}
	locations, _, err := i.dev.Rules()
	for _, location := range locations {
		var s netdev.FlowSpec
		if s, err = i.dev.Rule(location); err != nil {
			break
		}
		t.Rules = append(t.Rules, steering.FromSpec(steering.Spec(s)))
	}
	if err != nil {
		errs["rules"] = i.explain("flow rules", err)
	}
	return t, errs
}

// RulePlaces returns the free places for flow rules, the last (of least priority) first.
func (i *Interface) RulePlaces() (free []int, err error) {
	taken, places, err := i.dev.Rules()
	if err != nil {
		return nil, i.explain("flow rules", err)
	}
	for location := places - 1; location >= 0; location-- {
		if !slices.Contains(taken, location) {
			free = append(free, location)
		}
	}
	return free, nil
}

// ChannelCounts and RSS are what a command needs to know in order to say what it wants.
func (i *Interface) ChannelCounts() (netdev.ChannelCounts, error) {
	c, err := i.dev.Channels()
	return c, i.explain(Channels, err)
}

// RSSEntries returns the number of entries of the RSS table and the number of bytes of the key.
func (i *Interface) RSSEntries() (entries, key int, err error) {
	r, err := i.dev.RSS()
	return len(r.Table), len(r.Key), i.explain("rss", err)
}
