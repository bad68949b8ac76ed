// Package pktsource makes a receiver a source of packets for gopacket: gopacket.PacketDataSource and
// gopacket.ZeroCopyPacketDataSource.
//
//	s, err := pktsource.New(nil)
//	go s.Run(ctx, r)
//	for packet := range gopacket.NewPacketSource(s, s.LinkType()).Packets() { ... }
//
// ZeroCopyReadPacketData gives the bytes in the receiver's own frames: no copy, no allocation. They are valid until the
// next read, which releases the packet. A packet that lies in several frames (merged by GRO, or too long for one) is put
// together in a buffer of the Source's.
//
// At most Config.Backlog frames wait for the reader; more are dropped and counted. When Run ends, reads give what waits
// and then io.EOF.
package pktsource
