package fanout_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"xrx"
	"xrx/consume/fanout"
)

// A pcap stream for another program, here a buffer: it could be the stdin of tcpdump -r -.
func Example() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	var stream bytes.Buffer
	f, err := fanout.New([]io.Writer{&stream}, &fanout.Config{Format: fanout.Pcap})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if err := r.Run(ctx, xrx.BatchHandler(f.Take)); err != nil {
		log.Print(err)
	}
	if err := f.Close(); err != nil {
		log.Print(err)
	}
	fmt.Println("a stream of packets:", stream.Len() > 24, f.Stats()[0].Drops)
}
