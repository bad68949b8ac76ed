package oracle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"xrx/internal/afpacket"
	"xrx/internal/frames"
)

// Result is one delivered packet.
type Result struct {
	Data    []byte // from the Ethernet header on, in-band tags included, checksums finished
	Segs    int    // packets it was made of
	GSOSize int    // L4 payload bytes of each but the last; 0 when Segs is 1
}

// FromKernel makes a Result of what the kernel delivered. The outer VLAN tag, which the kernel takes out of the frame
// (skb_vlan_untag in net/core/dev.c, v6.18), is put back. A merged packet has only the pseudo-header's sum in its
// checksum field (K4): it is finished, over the bytes that are there, so that it can be compared with a finished one.
func FromKernel(p afpacket.Packet) (Result, error) {
	data := bytes.Clone(p.Data)
	r := Result{Segs: 1, GSOSize: int(p.GSOSize)}
	if p.GSOType&^afpacket.GSOECN != afpacket.GSONone {
		if p.Flags&afpacket.VnetNeedsChecksum == 0 || int(p.ChecksumStart)+int(p.ChecksumOffset)+2 > len(data) {
			return r, fmt.Errorf("merged packet of %d bytes with flags %#x, checksum at %d+%d", len(data), p.Flags, p.ChecksumStart, p.ChecksumOffset)
		}
		l4 := data[p.ChecksumStart:]
		header := 8
		if p.GSOType&^afpacket.GSOECN != afpacket.GSOUDPL4 {
			header = int(l4[12]>>4) * 4
		}
		r.Segs = (len(l4) - header + r.GSOSize - 1) / r.GSOSize
		sum := frames.Checksum(l4, 0)
		if sum == 0 && header == 8 {
			sum = 0xffff // C4
		}
		binary.BigEndian.PutUint16(l4[p.ChecksumOffset:], sum)
	}
	if p.HasVLAN {
		tag := binary.BigEndian.AppendUint16(nil, p.TPID)
		tag = binary.BigEndian.AppendUint16(tag, p.VLAN)
		data = append(data[:12:12], append(tag, data[12:]...)...)
	}
	r.Data = data
	return r, nil
}

// Difference says where two deliveries differ first: order, bytes, number of packets or gso_size. Empty: nowhere.
func Difference(kernel, own []Result) string {
	for i := range max(len(kernel), len(own)) {
		switch {
		case i >= len(kernel):
			return fmt.Sprintf("delivery %d: nothing more by the kernel, %v", i, own[i])
		case i >= len(own):
			return fmt.Sprintf("delivery %d: %v by the kernel, nothing more", i, kernel[i])
		}
		k, o := kernel[i], own[i]
		if k.Segs != o.Segs || k.GSOSize != o.GSOSize || len(k.Data) != len(o.Data) {
			return fmt.Sprintf("delivery %d: kernel %v, own %v", i, k, o)
		}
		for at := range k.Data {
			if k.Data[at] != o.Data[at] {
				return fmt.Sprintf("delivery %d: byte %d is %02x by the kernel, %02x: kernel %v, own %v", i, at, k.Data[at], o.Data[at], k, o)
			}
		}
	}
	return ""
}

// ShapeDifference is Difference in the number of packets and gso_size alone.
func ShapeDifference(kernel, own []Result) string {
	if len(kernel) != len(own) {
		return fmt.Sprintf("%d deliveries by the kernel, %d", len(kernel), len(own))
	}
	for i, k := range kernel {
		if o := own[i]; k.Segs != o.Segs || k.GSOSize != o.GSOSize {
			return fmt.Sprintf("delivery %d: kernel %d x %d, own %d x %d", i, k.Segs, k.GSOSize, o.Segs, o.GSOSize)
		}
	}
	return ""
}

func (r Result) String() string {
	return fmt.Sprintf("%d x %d: %s", r.Segs, r.GSOSize, Describe(r.Data))
}

// List returns results as text, one a line.
func List(results []Result) string {
	var s strings.Builder
	for i, r := range results {
		fmt.Fprintf(&s, "  %2d %v\n", i, r)
	}
	return s.String()
}
