package pktsource_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xrx"
	"xrx/consume/pktsource"
)

// Everything that takes a gopacket.PacketDataSource can read from a receiver.
func Example() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	s, err := pktsource.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, r) }()

	udp := 0
	for packet := range gopacket.NewPacketSource(s, s.LinkType()).Packets() {
		if packet.Layer(layers.LayerTypeUDP) != nil {
			udp++
		}
	}
	fmt.Println("UDP packets received:", udp > 0)
	if err := <-done; err != nil {
		log.Print(err)
	}
}

// Without a copy and without an allocation: layers are decoded out of the receiver's own frames.
func ExampleSource_ZeroCopyReadPacketData() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	s, err := pktsource.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, r) }()

	var eth layers.Ethernet
	var ip4 layers.IPv4
	var udp layers.UDP
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip4, &udp)
	parser.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	bytes := 0
	for {
		data, _, err := s.ZeroCopyReadPacketData() // data is valid until the next read
		if errors.Is(err, io.EOF) {
			break
		}
		if err := parser.DecodeLayers(data, &decoded); err == nil && len(decoded) == 3 {
			bytes += len(udp.Payload)
		}
	}
	fmt.Println("UDP payload received:", bytes > 0)
	if err := <-done; err != nil {
		log.Print(err)
	}
}
