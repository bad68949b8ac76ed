package oracle

import (
	"bytes"
	"encoding/binary"

	"xrx/internal/frames"
)

// Tags lets a kernel answer for VLAN tags that has no 802.1Q (CONFIG_VLAN_8021Q), and so no GRO handler for them.
// Rule F4 makes the tags a part of what must be equal for two packets to be of one flow, like the Ethernet header (F2),
// and nothing else: so Strip takes them out and makes the source MAC address say which they were, and Restore puts them
// back into what was delivered. The zero value is ready.
type Tags struct{ seen [][]byte }

// Strip returns the frame without its tags.
func (t *Tags) Strip(frame []byte) []byte {
	at := 12
	for at+6 <= len(frame) {
		if etype := binary.BigEndian.Uint16(frame[at:]); etype != frames.TypeVLAN && etype != frames.TypeQinQ {
			break
		}
		at += 4
	}
	if at == 12 {
		return frame
	}
	n := 0
	for n < len(t.seen) && !bytes.Equal(t.seen[n], frame[12:at]) {
		n++
	}
	if n == len(t.seen) {
		t.seen = append(t.seen, bytes.Clone(frame[12:at]))
	}
	out := append(bytes.Clone(frame[:12]), frame[at:]...)
	binary.BigEndian.PutUint16(out[7:], uint16(n+1)) // zero in all of a burst's addresses
	return out
}

// Restore undoes Strip.
func (t *Tags) Restore(data []byte) []byte {
	n := int(binary.BigEndian.Uint16(data[7:]))
	if n == 0 || n > len(t.seen) {
		return data
	}
	out := append(bytes.Clone(data[:12]), t.seen[n-1]...)
	out[7], out[8] = 0, 0
	return append(out, data[12:]...)
}
