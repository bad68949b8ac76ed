package gen

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"xrx/internal/frames"
)

const (
	// liveFlag is BPF_F_TEST_XDP_LIVE_FRAMES (include/uapi/linux/bpf.h, v6.18).
	liveFlag = 1 << 1
	// liveBatch is the number of frames taken from the kernel's pool at
	// once, at most 256 (net/bpf/test_run.c, TEST_XDP_MAX_BATCH, v6.18).
	liveBatch = 64
	// liveFirst and liveMost bound the frames of one call. A call costs
	// some 20 ms whatever it sends, so it should send many; it is cut
	// short through the program's limit: the rest of the largest call is
	// then dropped in well under 200 ms.
	liveFirst = 1 << 14
	liveMost  = 1 << 22
	// liveCall is how long a call should take.
	liveCall = time.Second
	// liveMaxSize is the longest frame: a page less the pool's own header,
	// XDP_PACKET_HEADROOM and struct skb_shared_info (net/bpf/test_run.c).
	liveMaxSize = 3392
)

type liveSender struct {
	objects liveObjects
	data    []byte // the frame handed in, of the largest size
}

func openLive(s Stream, ifindex int, o Options) (_ *liveSender, err error) {
	if o.Rate > 0 {
		return nil, errors.New("live frames cannot be paced, packet and xsk can")
	}
	if s.maxSize() > liveMaxSize {
		return nil, fmt.Errorf("size %d: live frames have at most %d bytes", s.maxSize(), liveMaxSize)
	}
	if err := takesRedirects(ifindex); err != nil {
		return nil, err
	}
	spec, err := loadLive()
	if err != nil {
		return nil, err
	}
	l := &liveSender{}
	if l.data, err = configureLive(spec, s, ifindex); err != nil {
		return nil, err
	}
	if err := spec.LoadAndAssign(&l.objects, nil); err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	return l, nil
}

// sent reads the program's own count from the memory that it shares.
func (l *liveSender) sent() uint64 {
	var state liveState
	if err := l.objects.State.Get(&state); err != nil {
		return 0
	}
	return state.Next
}

func (l *liveSender) close() error { return l.objects.Close() }

func (l *liveSender) send(ctx context.Context, count uint64, r *Result) error {
	if err := l.objects.Limit.Set(count); err != nil {
		return err
	}
	// Setting a mapped variable cannot fail.
	defer context.AfterFunc(ctx, func() { _ = l.objects.Limit.Set(uint64(0)) })()
	chunk := uint64(liveFirst)
	for call := uint32(1); r.Frames < count && ctx.Err() == nil; call++ {
		if err := l.objects.Call.Set(call); err != nil {
			return err
		}
		start, before := time.Now(), r.Frames
		// A call that a signal interrupts is repeated as a whole: the
		// program counts, and keeps the limit.
		_, err := l.objects.XrxGen.Run(&ebpf.RunOptions{
			Data: l.data, Repeat: uint32(min(chunk, count-r.Frames)), Flags: liveFlag, BatchSize: liveBatch,
		})
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, ebpf.ErrNotSupported):
			return fmt.Errorf("run program: %w (live frames need Linux 5.18)", err)
		case err != nil:
			return fmt.Errorf("run program: %w", err)
		}
		var state liveState
		if err := l.objects.State.Get(&state); err != nil {
			return err
		}
		r.Frames, r.Bytes = state.Next, state.Bytes
		if state.Timed > 0 {
			r.Sending = time.Duration(float64(state.TimedNs) * float64(state.Next) / float64(state.Timed))
		}
		if state.Failed > 0 {
			return fmt.Errorf("the program could not write %d frames", state.Failed)
		}
		if r.Frames == before && ctx.Err() == nil {
			return errors.New("the kernel did not run the program")
		}
		chunk = nextChunk(r.Frames-before, time.Since(start))
	}
	return nil
}

// nextChunk returns how many frames the next call should send, from what the
// last one sent and took.
func nextChunk(sent uint64, took time.Duration) uint64 {
	aim := uint64(float64(sent) * float64(liveCall) / float64(max(took, time.Millisecond)))
	return max(liveBatch, min(aim, sent*8, liveMost))
}

// configureLive fills in the program's constants and returns the frame to hand
// in, of the largest size.
func configureLive(spec *ebpf.CollectionSpec, s Stream, ifindex int) (data []byte, err error) {
	f := s.frame()
	var sizes [maxSizes]liveSize
	for i, size := range s.Sizes {
		b, entry := liveFrame(f, size, s.Stamp)
		sizes[i] = entry
		if len(b) > len(data) {
			data = b
		}
	}
	var head [96]byte
	copy(head[:], data)
	var words [12]uint64
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(head[8*i:])
	}
	l3 := 14 + 4*len(s.VLANs)
	config := liveConfig{
		Ifindex: uint32(ifindex), Flows: uint32(s.Flows), Burst: uint32(s.Burst), Sizes: uint32(len(s.Sizes)),
		MaxLen: uint32(len(data)), L3: uint32(l3), L4: uint32(l3 + 20), Payload: uint32(f.Headers()),
		SrcPort: firstSrcPort, DstPort: firstDstPort, SrcPorts: srcPorts,
	}
	if s.Src.Is6() {
		config.Ipv6, config.L4 = 1, uint32(l3+40)
	}
	if s.TCP {
		config.Tcp = 1
	}
	if s.Stamp {
		config.Stamp = 1
	}
	variables := liveVariableSpecs{}
	if err := spec.Assign(&variables); err != nil {
		return nil, err
	}
	return data, errors.Join(
		variables.Config.Set(config),
		variables.Sizes.Set(sizes[:]),
		variables.Head.Set(words[:]),
		variables.Compact.Set(pattern[:fullHeader]),
	)
}

// liveFrame returns frame 0 of the stream in one size and the checksums that
// the program starts from: those of frame 0 of flow 0, not complemented.
func liveFrame(f frames.Frame, size int, stamp bool) ([]byte, liveSize) {
	f.SrcPort, f.DstPort = ports(0)
	f.Payload = make([]byte, size-f.Headers())
	putPayload(f.Payload, 0, 0, 0)
	if stamp {
		putStamp(f.Payload, 0)
	}
	b := f.Append(nil)
	entry := liveSize{Len: uint16(size), Payload: uint16(len(f.Payload))}
	l3 := 14 + 4*len(f.VLANs)
	l4 := l3 + 40
	if f.Src.Is4() {
		l4 = l3 + 20
		entry.IpSum = uint32(^binary.BigEndian.Uint16(b[l3+10:]))
	}
	field := l4 + 6
	if f.Proto == frames.ProtoTCP {
		field = l4 + 16
	}
	entry.L4Sum = uint32(^binary.BigEndian.Uint16(b[field:]))
	return b, entry
}
