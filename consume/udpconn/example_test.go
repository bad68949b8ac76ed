package udpconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"time"

	"xrx"
	"xrx/consume/udpconn"
	"xrx/gro"
)

// Datagrams to one port, up to 64 of a sender at once.
func Example() {
	const port = 4433
	r, err := xrx.Open("eth1", &xrx.Config{Match: fmt.Sprintf("udp dst port %d", port), GRO: &gro.Config{UDPPorts: []uint16{port}}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	c, err := udpconn.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() {
		err := r.Run(ctx, xrx.BatchHandler(c.Take))
		c.End() // reads give what waits, then io.EOF
		done <- err
	}()

	buf := make([]byte, 1<<16)
	for {
		n, size, from, err := c.ReadGRO(buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v sent %d bytes, %d a datagram\n", from, n, size)
	}
	if err := <-done; err != nil {
		log.Print(err)
	}
}
