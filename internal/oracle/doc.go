// Package oracle asks the running kernel's GRO what it makes of a burst of frames, so that an engine of one's own can be
// held to it: random bursts with everything that decides whether packets are merged, what the kernel delivered in a form
// that compares, and the shortest burst that still shows a difference.
//
// A difference is a difference: nothing is compared loosely. Where an engine is meant to do better than the kernel, the
// burst says so packet by packet (Packet.Allow, the rule's name), and the kernel is sent what makes it do the same.
package oracle
