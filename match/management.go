package match

import "fmt"

// management is what a machine needs to stay reachable, and to be managed: Management's list, documented in the README.
const management = "arp or ether type (0x8809 or 0x888e or 0x88cc)" + // LACP and the other slow protocols, 802.1X, LLDP
	" or icmp type (3 or 11-12) or icmp6 type (1-4 or 130-137 or 143)" + // errors, path MTU; multicast membership, neighbour discovery
	" or igmp" +
	" or udp port (67 or 68 or 546 or 547)" + // DHCP, DHCPv6
	" or tcp port 22" // SSH, to here and from here

// Management matches the traffic by which a machine stays reachable: ARP, neighbour discovery, multicast membership, ICMP
// errors, DHCP, SSH on port 22 and these ports, LACP, 802.1X and LLDP.
func Management(sshPorts ...uint16) *Expr {
	s := management
	for _, p := range sshPorts {
		s += fmt.Sprintf(" or tcp port %d", p)
	}
	e, err := Parse(s)
	if err != nil {
		panic(fmt.Sprintf("match: %s: %v", s, err)) // can't be: a test parses it
	}
	return e
}
