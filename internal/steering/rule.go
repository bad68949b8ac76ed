package steering

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Rule is a flow rule: which packets, and what becomes of them. What is not given is not looked at.
type Rule struct {
	Kind     string       // what is matched: one of the names in kinds
	Src, Dst netip.Prefix // invalid: any
	SrcPort  Field
	DstPort  Field
	TOS      Field // or traffic class
	Protocol Field // of ip4 and ip6
	Ether    Field // the EtherType, of ether
	SrcMAC   net.HardwareAddr
	DstMAC   net.HardwareAddr
	VLAN     Field // id, of a tag that is still in the packet

	Queue    int
	Drop     bool
	VF       int  // 0: this function, else virtual function VF-1
	Location int  // in the driver's table; -1: any free one
	Strange  bool // has what this type does not know (an RSS context, user data, a wake-up)
}

// Field is a number and the bits of it that are compared; no bits: any.
type Field struct{ Value, Mask uint16 }

// kinds are flow types of the kernel (include/uapi/linux/ethtool.h).
var kinds = map[string]uint32{"tcp4": 0x01, "udp4": 0x02, "sctp4": 0x03, "tcp6": 0x05, "udp6": 0x06, "sctp6": 0x07, "ip4": 0x0d, "ip6": 0x0e, "ether": 0x12}

// ParseRule reads a rule like "tcp dst-port 443 queue 2" or "udp6 src-ip 2001:db8::/32 drop loc 5". tcp, udp, sctp and ip
// are of IPv4 unless an address is of IPv6.
func ParseRule(text string) (Rule, error) {
	r := Rule{Location: -1, Queue: -1}
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, fmt.Errorf("an empty rule: want one like %q", "tcp dst-port 443 queue 2")
	}
	r.Kind = words[0]
	for words = words[1:]; len(words) > 0; {
		word := words[0]
		if word == "drop" {
			r.Drop, words = true, words[1:]
			continue
		}
		if len(words) < 2 {
			return r, fmt.Errorf("%s: want a value behind it", word)
		}
		if err := r.read(word, words[1]); err != nil {
			return r, fmt.Errorf("%s %s: %w", word, words[1], err)
		}
		words = words[2:]
	}
	return r, r.check()
}

func (r *Rule) read(word, value string) (err error) {
	switch word {
	case "queue":
		r.Queue, err = number(value, 1<<16)
	case "loc":
		r.Location, err = number(value, 1<<24)
	case "src-ip":
		r.Src, err = prefix(value)
	case "dst-ip":
		r.Dst, err = prefix(value)
	case "src-port":
		r.SrcPort, err = field(value, 0xffff)
	case "dst-port":
		r.DstPort, err = field(value, 0xffff)
	case "tos", "tclass":
		r.TOS, err = field(value, 0xff)
	case "proto":
		r.Protocol, err = field(value, 0xff)
	case "type":
		r.Ether, err = field(value, 0xffff)
	case "src-mac":
		r.SrcMAC, err = mac(value)
	case "dst-mac":
		r.DstMAC, err = mac(value)
	case "vlan":
		r.VLAN, err = field(value, 0xfff)
	default:
		err = fmt.Errorf("want queue, drop, loc, src-ip, dst-ip, src-port, dst-port, proto, tos, type, src-mac, dst-mac or vlan")
	}
	return err
}

// check settles the address family, and refuses fields that the kind has not got.
func (r *Rule) check() error {
	six := r.Src.IsValid() && r.Src.Addr().Is6() || r.Dst.IsValid() && r.Dst.Addr().Is6()
	four := r.Src.IsValid() && r.Src.Addr().Is4() || r.Dst.IsValid() && r.Dst.Addr().Is4()
	if slices.Contains([]string{"tcp", "udp", "sctp", "ip"}, r.Kind) {
		if r.Kind += "4"; six {
			r.Kind = strings.TrimSuffix(r.Kind, "4") + "6"
		}
	}
	_, known := kinds[r.Kind]
	ports := !strings.HasPrefix(r.Kind, "ip") && r.Kind != "ether"
	switch {
	case !known:
		return fmt.Errorf("%q: want tcp, udp, sctp, ip (with 4 or 6 behind it, or not) or ether first", r.Kind)
	case four && six, six && strings.HasSuffix(r.Kind, "4"), four && strings.HasSuffix(r.Kind, "6"):
		return fmt.Errorf("addresses of IPv4 and of IPv6 in one rule")
	case r.Kind == "ether" && (four || six || r.TOS.Mask != 0 || r.Protocol.Mask != 0):
		return fmt.Errorf("ether rules have src-mac, dst-mac, type and vlan")
	case !ports && (r.SrcPort.Mask != 0 || r.DstPort.Mask != 0):
		return fmt.Errorf("%s has no ports: say tcp, udp or sctp", r.Kind)
	case ports && r.Protocol.Mask != 0:
		return fmt.Errorf("proto is for ip rules")
	case r.Kind != "ether" && (r.Ether.Mask != 0 || r.SrcMAC != nil):
		return fmt.Errorf("type and src-mac are for ether rules")
	case r.Drop == (r.Queue >= 0):
		return fmt.Errorf("want either queue N or drop")
	case r.Drop:
		r.Queue = 0
	}
	return nil
}

func number(s string, below int) (int, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil || int(n) >= below {
		return 0, fmt.Errorf("want a number below %d", below)
	}
	return int(n), nil
}

func field(s string, most uint16) (Field, error) {
	n, err := number(s, int(most)+1)
	return Field{uint16(n), most}, err
}

func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("want an address, or one with /BITS")
	}
	return p.Masked(), nil
}

func mac(s string) (net.HardwareAddr, error) {
	m, err := net.ParseMAC(s)
	if err != nil || len(m) != 6 {
		return nil, fmt.Errorf("want a MAC address")
	}
	return m, nil
}

// String returns the rule in the form that ParseRule reads.
func (r Rule) String() string {
	words := []string{r.Kind}
	add := func(word string, value any) { words = append(words, word, fmt.Sprint(value)) }
	number := func(word string, f Field, most uint16, format string) {
		switch f.Mask {
		case 0:
		case most:
			add(word, fmt.Sprintf(format, f.Value))
		default:
			add(word, fmt.Sprintf("%#x/%#x", f.Value, f.Mask))
		}
	}
	if r.Src.IsValid() {
		add("src-ip", r.Src)
	}
	if r.Dst.IsValid() {
		add("dst-ip", r.Dst)
	}
	number("src-port", r.SrcPort, 0xffff, "%d")
	number("dst-port", r.DstPort, 0xffff, "%d")
	number("proto", r.Protocol, 0xff, "%d")
	number("tos", r.TOS, 0xff, "%#x")
	number("type", r.Ether, 0xffff, "%#04x")
	if r.SrcMAC != nil {
		add("src-mac", r.SrcMAC)
	}
	if r.DstMAC != nil {
		add("dst-mac", r.DstMAC)
	}
	number("vlan", r.VLAN, 0xfff, "%d")
	if r.Strange {
		words = append(words, "(and more)")
	}
	switch {
	case r.Drop:
		words = append(words, "drop")
	case r.VF > 0:
		add("vf", r.VF-1)
		add("queue", r.Queue)
	default:
		add("queue", r.Queue)
	}
	if r.Location >= 0 {
		add("loc", r.Location)
	}
	return strings.Join(words, " ")
}
