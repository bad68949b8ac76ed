// Package bpf is the kernel half of xrx: an XDP program that writes what it knows about a packet in front of it and
// redirects it to the AF_XDP socket of the queue it came in on, or leaves it to the kernel where there is none.
//
//	p, err := bpf.Load(bpf.Options{Symmetric: true})
//	a, err := p.Attach(ifindex, bpf.Auto)
//	err = p.Register(queue, socket.FD())
//	...
//	err = p.SetEnabled(false) // from here on everything passes to the kernel
//	err = a.Close()           // detached
//	err = p.Close()           // unloaded
//
// A program is attached through a bpf_link and nothing is pinned, so whatever ends the process also detaches it. Another
// program found on the interface is never replaced: Attach fails with a *BusyError that names it.
//
// The C sources, and so the objects made from them, are licensed "BSD-2-Clause OR GPL-2.0-only".
package bpf
