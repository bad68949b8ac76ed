package xrx_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/own"
)

var _ own.Ref = xrx.Packet{}

// Each kind of packet has a handler of its own; a tap sees all of them first, and hands some to another goroutine.
func ExampleMux() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()

	kept := make(chan xrx.Kept, 64) // as many as the tap may keep: sending never blocks
	var writer sync.WaitGroup
	writer.Go(func() {
		for k := range kept {
			_ = k.Packet().Data() // write it somewhere, slowly
			k.Release()
		}
	})

	var m xrx.Mux
	m.UDP(9, func(p xrx.Packet) { fmt.Println("discard:", p.Len(), "bytes") })
	m.Proto(6, func(p xrx.Packet) { fmt.Println("TCP:", p.Len(), "bytes") })
	m.EtherType(0x0806, func(xrx.Packet) { fmt.Println("ARP") })
	tap, err := m.Tap("capture", 64, func(t *xrx.Tap, p xrx.Packet) {
		if k, ok := t.Keep(p); ok {
			kept <- k
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Run(ctx, &m); err != nil { // also what was wrong with a registration
		log.Print(err)
	}
	close(kept)
	writer.Wait()
	fmt.Println("the capture missed", tap.Missed())
}

// A merged packet is kept by its first segment alone: the piece shares the packet's bytes, and keeps them.
func Example_ownership() {
	r, err := xrx.Open("eth1", &xrx.Config{GRO: &gro.Config{Flush: time.Millisecond}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()

	flows, store := own.New("flows", 512), own.New("store", 32)
	err = r.Run(ctx, xrx.BatchHandler(func(batch []xrx.Packet) {
		flows.Tick() // so that the report says for how long things are held: one look at the clock a batch
		for i, p := range batch {
			n, err := flows.Take(p) // the batch's reference is the tree's now
			if err != nil {         // *own.LimitError: it has 512 frames already
				p.Release()
				continue
			}
			batch[i] = xrx.Packet{} // ours no more, should we panic
			if headers, err := n.Split(0, min(54, n.Len())); err == nil {
				store.Adopt(headers) // refused beyond 32 frames; it then goes with n
			}
		}
	}))
	if err != nil {
		log.Print(err)
	}
	fmt.Print(own.Report())
	flows.Release() // all but what store has
	store.Release() // and that: Close has nothing to wait for
}
