package gen

import "xrx/internal/frames"

// flowState is what advances within a flow.
type flowState struct {
	seq uint32 // TCP sequence number of the next frame
	id  uint16 // IPv4 identification of the next frame
}

// Writer writes the frames of a stream, one after the other, in user space.
type Writer struct {
	stream  Stream
	frame   frames.Frame // what all frames have in common
	flows   []flowState
	next    uint64 // sequence number of the next frame
	flow    int    // its flow
	inBurst int    // frames of this flow's burst already written
	size    int    // index of its size
	payload []byte
	stamp   int64 // of the next frame, where the stream has stamps
}

// NewWriter returns a writer that starts at sequence number 0.
func NewWriter(s Stream) (*Writer, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s = s.withDefaults()
	return &Writer{stream: s, frame: s.frame(), flows: make([]flowState, s.Flows), payload: make([]byte, s.maxSize())}, nil
}

// Append appends the next frame to b and returns the extended slice. It
// allocates only where b is too short.
func (w *Writer) Append(b []byte) []byte {
	f := &w.frame
	state := &w.flows[w.flow]
	f.SrcPort, f.DstPort = ports(uint32(w.flow))
	f.Seq, f.ID = state.seq, state.id
	f.Payload = w.payload[:w.stream.Sizes[w.size]-f.Headers()]
	putPayload(f.Payload, w.next, uint32(w.flow), uint8(w.next))
	if w.stream.Stamp {
		putStamp(f.Payload, w.stamp)
	}
	b = f.Append(b)
	state.seq += uint32(len(f.Payload))
	state.id++
	w.advance()
	return b
}

func (w *Writer) advance() {
	w.next++
	if w.size++; w.size == len(w.stream.Sizes) {
		w.size = 0
	}
	if w.inBurst++; w.inBurst == w.stream.Burst {
		w.inBurst = 0
		if w.flow++; w.flow == w.stream.Flows {
			w.flow = 0
		}
	}
}
