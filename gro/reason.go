package gro

// Reason says why a packet was not merged (Stats.Normal) or why a held packet was completed (Stats.Flush).
type Reason uint8

const (
	None Reason = iota

	// The packet itself is not for merging. If its flow can be read, P is completed first.
	Off
	Short
	SplitHeaders
	LongHeaders
	NotIP
	VLANType
	IPv4Version
	IPv4Options
	IPv4Fragment
	IPv4Checksum
	IPv4Length
	IPv4Reserved
	IPv6Version
	IPv6Length
	IPv6Fragment
	IPv6Extension
	Protocol
	TunnelNested
	TunnelGRE
	TunnelUDP
	SuperFrame
	TCPHeader
	TCPChecksum
	TCPPartial
	TCPEmpty
	TCPFlags
	TCPPush
	UDPOff
	UDPZero
	UDPChecksum
	UDPPartial
	UDPLength

	// The packet belongs to P's flow but does not continue P.
	IPv4TTL
	IPv4TOS
	IPv4DF
	IPv4ID
	IPv6Class
	IPv6Hop
	OuterHeader
	OuterID
	TCPWindow
	TCPFlagChange
	TCPCWR
	TCPAck
	TCPOptions
	TCPLonger
	TCPSeq
	UDPLonger
	Size
	Count
	ChecksumKind

	// The packet was merged, and was the last one for P.
	TCPShort
	UDPShorter

	// Nothing about packets: it was time.
	Evicted
	Frames
	PollEnd
	Budget
	HoldTimer
	Flushed

	NumReasons
)

// reasons gives each Reason its counter name, the rules of the specification that it carries out, and a sentence.
var reasons = [NumReasons]struct{ name, rule, doc string }{
	None:          {"none", "", "merged"},
	Off:           {"off", "F5", "GRO is switched off"},
	Short:         {"short", "F6", "the frame ends inside its headers"},
	SplitHeaders:  {"split_headers", "F6", "the headers do not lie in the packet's first buffer"},
	LongHeaders:   {"long_headers", "L6", "more than 255 bytes of headers, or a fragmented chain of them"},
	NotIP:         {"not_ip", "F6", "no handler for the EtherType"},
	VLANType:      {"vlan_type", "F4", "VLAN tag around something that is not IP, or more than two tags"},
	IPv4Version:   {"ipv4_version", "V1", "the version is not 4 or the header is shorter than 20 bytes"},
	IPv4Options:   {"ipv4_options", "V1", "IPv4 options"},
	IPv4Fragment:  {"ipv4_fragment", "V2", "an IPv4 fragment"},
	IPv4Checksum:  {"ipv4_checksum", "V3", "the IPv4 header checksum does not verify"},
	IPv4Length:    {"ipv4_length", "V4", "tot_len is not the length to the end of the frame (Ethernet padding, truncation)"},
	IPv4Reserved:  {"ipv4_reserved", "V5", "the reserved bit is set"},
	IPv6Version:   {"ipv6_version", "W1", "the version is not 6"},
	IPv6Length:    {"ipv6_length", "W1", "payload_len is not the length to the end of the frame"},
	IPv6Fragment:  {"ipv6_fragment", "W2", "an IPv6 fragment"},
	IPv6Extension: {"ipv6_extension", "W2", "an extension header that is not hop-by-hop, routing or destination options"},
	Protocol:      {"protocol", "F6", "neither TCP nor UDP nor a tunnel"},
	TunnelNested:  {"tunnel_nested", "E1", "a tunnel in a tunnel"},
	TunnelGRE:     {"tunnel_gre", "E3", "GRE is delivered as it is"},
	TunnelUDP:     {"tunnel_udp", "E4,E5", "VXLAN and Geneve are delivered as they are"},
	SuperFrame:    {"superframe", "T14", "longer than the MTU: a sender's TSO frame or the kernel's GRO was here first"},
	TCPHeader:     {"tcp_header", "T1", "data offset below 5 or beyond the packet"},
	TCPChecksum:   {"tcp_checksum", "T0,C1", "the TCP checksum does not verify"},
	TCPPartial:    {"tcp_partial", "C3", "only the pseudo-header sum is there, and the policy is not to merge those"},
	TCPEmpty:      {"tcp_empty", "T8,T12", "no payload: a pure ACK"},
	TCPFlags:      {"tcp_flags", "T12", "SYN, RST or URG"},
	TCPPush:       {"tcp_push", "T12", "PSH or FIN: the last packet for P, or delivered at once where there is no P to end"},
	UDPOff:        {"udp_off", "U1", "the destination port is not opted in"},
	UDPZero:       {"udp_zero_checksum", "U2", "sent without a checksum"},
	UDPChecksum:   {"udp_checksum", "U2", "the UDP checksum does not verify"},
	UDPPartial:    {"udp_partial", "C3", "only the pseudo-header sum is there, and the policy is not to merge those"},
	UDPLength:     {"udp_length", "U3", "the UDP length is 8 or not the length to the end of the datagram"},
	IPv4TTL:       {"ipv4_ttl", "V7", "the TTL changed"},
	IPv4TOS:       {"ipv4_tos", "V8", "DSCP or ECN changed"},
	IPv4DF:        {"ipv4_df", "V9", "the DF bit changed"},
	IPv4ID:        {"ipv4_id", "V10", "the IP ID neither stayed nor counted on"},
	IPv6Class:     {"ipv6_class", "W4", "the traffic class changed"},
	IPv6Hop:       {"ipv6_hop", "W4", "the hop limit changed"},
	OuterHeader:   {"outer_header", "E2", "TTL, TOS, DF, class or hop limit of the tunnel header changed"},
	OuterID:       {"outer_id", "E6", "the tunnel header's IP ID"},
	TCPWindow:     {"tcp_window", "T3", "the window changed"},
	TCPFlagChange: {"tcp_flag_change", "T3", "ECE, another flag, a reserved bit or the header length changed"},
	TCPCWR:        {"tcp_cwr", "T4", "CWR, by the profile's rule"},
	TCPAck:        {"tcp_ack", "T5", "the acknowledgement number changed"},
	TCPOptions:    {"tcp_options", "T6", "the TCP options changed"},
	TCPLonger:     {"tcp_longer", "T8", "more payload than P's first packet"},
	TCPSeq:        {"tcp_seq", "T9", "not the next sequence number: a gap, an overlap or a retransmission"},
	UDPLonger:     {"udp_longer", "U5", "more payload than P's first datagram"},
	Size:          {"size", "L1", "the packet would grow beyond the largest size"},
	Count:         {"count", "U8,T15", "64 datagrams, or as many segments as the setting allows"},
	ChecksumKind:  {"checksum_kind", "C3,5b", "P's checksums are partial and this packet's is not, or the reverse"},
	TCPShort:      {"tcp_short", "T12", "less payload than P's first packet ends P"},
	UDPShorter:    {"udp_shorter", "U7", "less payload than P's first datagram ends P"},
	Evicted:       {"evicted", "L4", "a new flow needed the place of the oldest"},
	Frames:        {"frames", "L3", "GRO held more frames than it may"},
	PollEnd:       {"poll_end", "X1", "end of the poll"},
	Budget:        {"budget", "X4", "end of a poll that used its budget"},
	HoldTimer:     {"hold_timer", "X1,X2", "held for as long as the hold timer allows"},
	Flushed:       {"flushed", "X2", "FlushAll: shutdown, or the caller's wish"},
}

// String returns the counter name: tcp_window and so on.
func (r Reason) String() string {
	if r < NumReasons {
		return reasons[r].name
	}
	return "invalid"
}

// Rule returns the numbers of the rules behind r, separated by commas.
func (r Reason) Rule() string { return reasons[r].rule }

// Doc returns r as a sentence.
func (r Reason) Doc() string { return reasons[r].doc }
