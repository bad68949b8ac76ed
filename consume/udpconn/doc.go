// Package udpconn reads UDP datagrams off a receiver as from a net.PacketConn.
//
//	c, err := udpconn.Listen(netip.MustParseAddrPort("192.0.2.1:4433"), nil)
//	go r.Run(ctx, xrx.BatchHandler(c.Take))
//	n, from, err := c.ReadFromUDPAddrPort(buf)
//
// Where GRO merges the port's datagrams (gro.Config.UDPPorts), one packet is up to 64 datagrams: its headers are parsed
// once, its checksum was verified as it was merged, and ReadGRO gives all of it with the size of a datagram, as recvmsg
// with UDP_GRO does (udp(7)).
//
// A datagram comes through if its headers are sound, it is for the address and port, and its checksum is right: IPv4 and
// IPv6, with or without VLAN tags. IP fragments are not put together: those for the address are dropped and counted. At
// most Config.Backlog frames wait for a reader.
//
// Packets that are not for the connection are released, not given to the kernel: choose what the receiver takes with
// xrx.Config.Match ("udp dst port 4433"), and bind a kernel socket to the port too, so that nobody else gets it. That
// socket can be Config.Send, for WriteTo: replies take the kernel's way.
package udpconn
