package flows_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"xrx"
	"xrx/consume/flows"
	"xrx/gro"
)

// The ten flows that brought most.
func Example() {
	r, err := xrx.Open("eth1", &xrx.Config{GRO: &gro.Config{}}) // merged packets are counted at the price of one
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	t, err := flows.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if err := r.Run(ctx, xrx.BatchHandler(t.Take)); err != nil {
		log.Print(err)
	}
	for _, f := range t.Top(10, flows.Bytes) {
		fmt.Printf("%v %v > %v: %d packets, %d bytes, %d retransmits\n", f.Proto, f.Src, f.Dst, f.Packets, f.Bytes, f.Retransmits)
	}
}

// A JSON record of each flow when it ends, and every ten seconds of those that go on.
func ExampleTable_Ended() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	t, err := flows.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, xrx.BatchHandler(t.Take)) }()

	write := func(f *flows.Record) {
		if _, err := f.WriteTo(os.Stdout); err != nil {
			stop()
		}
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
		case now := <-second.C:
			t.Ended(now, write)
			if n%10 == 0 {
				t.Active(write)
			}
		}
	}
	if err := <-done; err != nil {
		log.Print(err)
	}
	t.Flush(write)
}
