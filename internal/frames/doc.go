// Package frames writes Ethernet frames: any number of VLAN tags, IPv4 with
// options and fragments, IPv6 with extension headers, UDP and TCP, all lengths
// and checksums right unless a field says otherwise. It is quick enough to
// write a million frames in a test, and shares no code with what it tests.
//
//	f := frames.UDP(netip.MustParseAddrPort("10.11.0.1:1000"), netip.MustParseAddrPort("10.11.0.2:2000"), payload)
//	f.DstMAC = mac
//	b := f.Append(nil)
package frames
