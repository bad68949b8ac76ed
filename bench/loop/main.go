// Command loop is the receive loops of Go libraries, each in a process of its own for the benchmarks: it prints "ready"
// when packets are taken, does nothing with what it gets, and on SIGTERM prints packets, batches and system calls as JSON.
//
//	loop -iface b0 -cpu 1 asavie      github.com/asavie/xdp
//	loop -iface b0 -cpu 1 afpacket    gopacket's TPACKET_V3
//	loop -iface b0 -cpu 1 xrx         this repository's library, with a consumer that holds or hands on packets
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"xrx/bench/internal/lab"
)

type options struct {
	iface   string
	cpu     int
	gro     bool
	busy    bool
	apart   bool          // hand packets to another goroutine
	held    int           // percent of the frames
	seconds bool          // print what was lost, each second
	collect time.Duration // run the garbage collector so often; 0: when it wants to
}

// counts is what a loop prints at its end.
type counts struct {
	Packets  uint64 `json:"packets"`
	Batches  uint64 `json:"batches"`
	Syscalls uint64 `json:"syscalls"`
}

var loops = map[string]func(o options, stop *atomic.Bool) (counts, error){"asavie": asavieLoop, "afpacket": afpacketLoop, "xrx": xrxLoop}

func main() {
	var o options
	flag.StringVar(&o.iface, "iface", "", "interface")
	flag.IntVar(&o.cpu, "cpu", 1, "processor")
	flag.BoolVar(&o.gro, "gro", false, "xrx: merge")
	flag.BoolVar(&o.busy, "busy", false, "xrx: never sleep")
	flag.BoolVar(&o.apart, "apart", false, "xrx: release on another goroutine")
	flag.IntVar(&o.held, "held", 0, "xrx: hold this many percent of the frames")
	flag.BoolVar(&o.seconds, "seconds", false, "xrx: print each second what was lost, and the garbage collector's pauses")
	flag.DurationVar(&o.collect, "collect", 0, "xrx: run the garbage collector so often (0: when it wants to)")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "loop:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	loop := loops[flag.Arg(0)]
	if loop == nil {
		return fmt.Errorf("no loop %q", flag.Arg(0))
	}
	if err := lab.Pin(o.cpu); err != nil {
		return err
	}
	var stop atomic.Bool
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	go func() { <-term; stop.Store(true) }()
	c, err := loop(o, &stop)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

func ready() { fmt.Println("ready") }
