package oracle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Packet is one frame of a burst.
type Packet struct {
	Frame []byte
	Note  string // what it is and what is special about it

	// Allow names the rule by which an engine may do better than the kernel here; empty: it may not. The kernel is sent
	// what makes it do the same:
	//
	// V11: the packet can't be merged, its flow can be read, and what is held of the flow came first. The kernel leaves
	// that held. So it is sent Break before Frame: a packet of the same flow whose IP length is not the frame's, which by
	// V4 and W1 completes what is held of the flow, is delivered as it is, and does nothing else.
	//
	// IPv6Version: the EtherType says IPv6 and the header has another version. The kernel does not look, but for W3,
	// and merges such packets with each other. An engine need not take them for IPv6. So the kernel is sent Instead: the
	// frame with an EtherType that nobody knows.
	Allow   string
	Break   []byte
	Instead []byte
}

// Burst is what is sent at once, in order.
type Burst []Packet

// Frames returns the frames for the engine.
func (b Burst) Frames() (frames [][]byte) {
	for _, p := range b {
		frames = append(frames, p.Frame)
	}
	return frames
}

// KernelFrames returns the frames for the kernel: with each Break.
func (b Burst) KernelFrames() (frames [][]byte) {
	for _, p := range b {
		if p.Break != nil {
			frames = append(frames, p.Break)
		}
		if p.Instead != nil {
			frames = append(frames, p.Instead)
		} else {
			frames = append(frames, p.Frame)
		}
	}
	return frames
}

// Back takes what was done for the kernel's sake back out of what it delivered: each Break, which it must have delivered
// once and as it was, and each Instead.
func (b Burst) Back(results []Result) ([]Result, error) {
	results = slices.Clone(results)
	for i, p := range b {
		if p.Instead != nil {
			for k, r := range results {
				if bytes.Equal(r.Data, p.Instead) {
					results[k].Data = p.Frame
				}
			}
		}
		if p.Break == nil {
			continue
		}
		at := slices.IndexFunc(results, func(r Result) bool { return r.Segs == 1 && bytes.Equal(r.Data, p.Break) })
		if at < 0 {
			return nil, fmt.Errorf("the kernel did not deliver the breaking packet in front of packet %d as it is", i)
		}
		results = slices.Delete(results, at, at+1)
	}
	return results, nil
}

// Notes says what the packets are, one a line.
func (b Burst) Notes() string {
	var s strings.Builder
	for i, p := range b {
		fmt.Fprintf(&s, "  %2d %s: %s\n", i, p.Note, Describe(p.Frame))
	}
	return s.String()
}

func (b Burst) String() string {
	var s strings.Builder
	for i, p := range b {
		fmt.Fprintf(&s, "  %2d %s", i, p.Note)
		if p.Allow != "" {
			fmt.Fprintf(&s, " (allowed: %s)", p.Allow)
		}
		fmt.Fprintf(&s, "\n     %s\n     %x", Describe(p.Frame), p.Frame[:min(len(p.Frame), 128)])
		if len(p.Frame) > 128 {
			fmt.Fprintf(&s, ".. %d bytes", len(p.Frame))
		}
		s.WriteByte('\n')
	}
	return s.String()
}
