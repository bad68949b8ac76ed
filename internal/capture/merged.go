package capture

import (
	"fmt"
	"strings"
)

// Merged says what GRO made of a packet: how many wire packets it stands for and the layer 4 payload of each but the
// last. In a file it is a packet comment, for want of an option of its own, so that people see it and a replay does not
// take a merged packet for one that was on the wire.
type Merged struct {
	Segs    int
	GSOSize int
}

const mergedFormat = "xrx: segs=%d gso=%d"

func (m Merged) String() string { return fmt.Sprintf(mergedFormat, m.Segs, m.GSOSize) }

// parseMerged is the reverse of String; other comments, and numbers that no packet can have, give none.
func parseMerged(comment string) (m Merged) {
	if !strings.HasPrefix(comment, "xrx: segs=") {
		return Merged{}
	}
	var read Merged
	if n, err := fmt.Sscanf(comment, mergedFormat, &read.Segs, &read.GSOSize); n != 2 || err != nil ||
		read.Segs < 2 || read.Segs > 1<<16-1 || read.GSOSize < 1 || read.GSOSize > 1<<16-1 {
		return Merged{}
	}
	return read
}
