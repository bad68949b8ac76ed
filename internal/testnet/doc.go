// Package testnet gives tests the real thing: network namespaces with a veth
// pair (package vethnet), a clear reason when the machine cannot provide it,
// and a check that a test left nothing behind.
//
//	func TestReceive(t *testing.T) {
//		testnet.Require(t, "veth", "afxdp")
//		testnet.NoLeaks(t)
//		n := testnet.New(t, testnet.Options{Queues: 2})
//		n.InB(func() { /* open the receiver on n.B.Iface */ })
//		s := n.Sender()
//		s.Send(frames)
//	}
package testnet
