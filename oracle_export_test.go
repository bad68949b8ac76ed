package xrx

import (
	"slices"

	"xrx/gro"
)

// Wire returns copies of the frames that arrived for a packet.
func Wire(p Packet) (list [][]byte) {
	for w := range gro.Resegment(p.q.mem, p.h) {
		list = append(list, slices.Concat(w...))
	}
	return list
}
