// Package traces makes the six packet traces of the GRO benchmark. They are the same bytes on every machine: New checks
// each against the SHA-256 that is written here.
package traces

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// Burst is how many frames arrive between two flushes.
const Burst = 64

// UDPPort is the destination port of the UDP traces.
const UDPPort = 4433

// Trace is a sequence of Ethernet frames in arrival order.
type Trace struct {
	Name   string
	Text   string
	UDP    bool
	Flows  int
	Frames [][]byte // without FCS
}

// pinned are the SHA-256 sums of each trace in the format of Trace.Write.
var pinned = map[string]string{
	"T1":  "7af720d09b3d966425732035d4859af806c8cc115df08a90ad0827a424c7216f",
	"T2a": "32e16ec58aaa6d10f3b6542a3d6f8c39c4828b848362f03e014f15331c04bf2f",
	"T2b": "c53d58088d6c4e47174132532f2db983e0f85030ab3cfca3c2890ab25b2c4b2a",
	"T3":  "8ed72daf20ef8d3db78cc2da4d9131c10555b9cca16207b510eaaf8c20453799",
	"T4":  "29cd911034cd016853d43cf858dfbe62bd9a3fba742ef97943ff19954c13c902",
	"T5":  "29c366a6585cf250c2f3c51165efa70fefb603dd378ab8447aefec0ad9061743",
}

// New returns the six traces. The error names a trace whose bytes are not the pinned ones.
func New() ([]Trace, error) {
	g := newGenerator()
	ts := []Trace{
		g.trace("T1", "1 TCP flow, MSS 1448", 4096, 1, g.tcp(1448), func(int) int { return 0 }),
		g.trace("T2a", "64 TCP flows, strict round robin", 4096, 64, g.tcp(1448), func(i int) int { return i % 64 }),
		g.trace("T2b", "64 TCP flows, 8 active per burst", 4096, 64, g.tcp(1448),
			func(i int) int { return (i/Burst*8 + i%8) % 64 }),
		g.trace("T3", "10,000 TCP flows, one frame each", 10048, 10000, g.tcp(1448), func(i int) int { return i % 10000 }),
		g.trace("T4", "256 UDP flows at random, 60 B", 4096, 256, g.udp(18),
			func(int) int { return int(g.random() >> 33 % 256) }),
		g.trace("T5", "1 UDP flow, 1200 B datagrams", 4096, 1, g.udp(1200), func(int) int { return 0 }),
	}
	for _, t := range ts {
		h := sha256.New()
		if err := t.Write(h); err != nil {
			return nil, err
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != pinned[t.Name] {
			return nil, fmt.Errorf("trace %s: SHA-256 is %s, want %s", t.Name, got, pinned[t.Name])
		}
	}
	return ts, nil
}

// Write writes the trace as repeated {u32 little-endian length, frame}.
func (t Trace) Write(w io.Writer) error {
	for _, f := range t.Frames {
		if err := binary.Write(w, binary.LittleEndian, uint32(len(f))); err != nil {
			return err
		}
		if _, err := w.Write(f); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile is Write into a new file.
func (t Trace) WriteFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = t.Write(w)
	if e := w.Flush(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
