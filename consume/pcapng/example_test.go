package pcapng_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"xrx"
	"xrx/consume/pcapng"
	"xrx/gro"
)

// A ring of ten files of 100 MB each; what GRO merged is written as it was on the wire.
func Example() {
	r, err := xrx.Open("eth1", &xrx.Config{GRO: &gro.Config{}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	w, err := pcapng.Create(filepath.Join(os.TempDir(), "eth1.pcapng"), &pcapng.Config{
		Iface: "eth1", RotateSize: 100e6, Files: 10, Wire: true, Snapshot: r.Snapshot,
		OnError: func(err error) { log.Print(err) }, // the receiver goes on
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if err := r.Run(ctx, xrx.BatchHandler(w.Take)); err != nil {
		log.Print(err)
	}
	if err := w.Close(); err != nil {
		log.Print(err)
	}
	s := w.Stats()
	fmt.Printf("%d packets in %d files, lost %v\n", s.Written, len(s.Files), s.Drops)
}
