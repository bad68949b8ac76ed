// Package match chooses packets by expressions in the manner of tcpdump (pcap-filter(7)): it parses them, writes them in
// one canonical form, decides by them in Go (slowly, for tests), and compiles them to the eBPF instructions that package
// bpf puts into the XDP program.
//
//	e, err := match.Parse("tcp port 80 or 443")
//	e.String() // tcp port 80 or tcp port 443
//
// # The language
//
//	ether type 0x88cc            EtherType behind the first two VLAN tags; arp, rarp, ip, ip6 and lldp are names for it
//	vlan [ID]                    has a tag; one of its first two tags has this id
//	ip, ip6, arp, rarp           ether type of that name
//	[ip|ip6] proto N             IP protocol, behind IPv6 extension headers; tcp, udp, sctp, icmp, icmp6, igmp, gre,
//	                             esp, ah, ospf, pim and vrrp are short for it
//	icmp type N[-M]              icmp6 likewise
//	[DIR] host ADDRESS           an address of the IP header, IPv4 or IPv6; host may be left out
//	[DIR] net PREFIX             like 10.0.0.0/8 or 2001:db8::/32
//	[PROTO] [DIR] port N         of TCP, UDP or SCTP; PROTO is tcp, udp, sctp, ip or ip6
//	[PROTO] [DIR] portrange N-M
//	not X, X and Y, X or Y       also !, &&, ||, and parentheses
//
// DIR is src, dst, "src or dst" (which is meant without it), or "src and dst". As in tcpdump, not binds tightest, and and
// or bind alike, to the left: a or b and c is (a or b) and c. A value without a keyword takes over the keywords before it:
// port 80 or 443, host 10.0.0.1 or 10.0.0.2, port (80 or 443).
//
// # What a packet is
//
// The headers are read as the XDP program reads them: at most two VLAN tags, those in the packet's bytes (one that the
// device took off is not seen), one IP header, at most eight IPv6 extension headers in its first 255 bytes, the ports if they are in
// its first buffer. A later fragment has no ports and no ICMP type. What can't be read does not match; so "not X" does.
// Other than in tcpdump, host says nothing about the addresses inside ARP, vlan does not move what follows it, and
// proto looks behind IPv6 extension headers.
package match
