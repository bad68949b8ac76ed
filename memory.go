package xrx

import (
	"fmt"
	"os"
	"strings"

	"xrx/umem"
)

// memory gives every queue its frames: a region of its own, or with SharedUmem its part of one for all.
func (r *Receiver) memory() (err error) {
	var pools []*umem.Pool
	cfg := r.cfg.region()
	switch {
	case r.pair != nil:
		if pools, err = r.pair.memory(r); err != nil {
			return err
		}
	case r.cfg.SharedUmem:
		cfg.Frames *= len(r.queues)
		if r.mem, err = umem.New(cfg); err != nil {
			return fmt.Errorf("xrx: one UMEM for %d queues: %w", len(r.queues), err)
		}
		if pools, err = r.mem.Split(len(r.queues)); err != nil {
			return fmt.Errorf("xrx: %w", err)
		}
		r.mode.note("%d queues share one UMEM of %d frames", len(r.queues), cfg.Frames)
	}
	var normal []string // queues whose frames are not in huge pages
	for i, q := range r.queues {
		if q.mem = r.mem; q.mem == nil {
			if q.mem, err = umem.New(cfg); err != nil {
				return fmt.Errorf("xrx: queue %d: %w", q.id, err)
			}
			own, err := q.mem.Split(1)
			if err != nil {
				return fmt.Errorf("xrx: queue %d: %w", q.id, err)
			}
			pools = append(pools, own[0])
		}
		q.pool, q.packetOffset = pools[i], q.mem.PacketOffset()
		if r.cfg.NoMeta {
			q.packetOffset = noMeta
		}
		if q.mem.HugeErr != nil {
			normal = append(normal, fmt.Sprint(q.id))
			err = q.mem.HugeErr
		}
	}
	if len(normal) > 0 {
		r.mode.note("queue %s: normal pages instead of reserved huge ones: %v; %s", strings.Join(normal, ", "), err, transparent(os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")))
	}
	return nil
}

// transparent says what the kernel does about MADV_HUGEPAGE, which is asked for in any case
// (Documentation/admin-guide/mm/transhuge.rst): the setting in force is the one in brackets.
func transparent(setting []byte, err error) string {
	switch s := string(setting); {
	case err != nil:
		return "this kernel has no transparent huge pages either"
	case strings.Contains(s, "[never]"):
		return "transparent huge pages are off too (echo madvise > /sys/kernel/mm/transparent_hugepage/enabled)"
	default:
		return "transparent huge pages are asked for, and the kernel gives them as it has them"
	}
}

// MultiBuffer says whether packets may span several frames (XDP_USE_SG, Linux 6.6).
type MultiBuffer uint8

const (
	MultiBufferAuto MultiBuffer = iota // where the MTU asks for it
	MultiBufferOn                      // always
	MultiBufferOff                     // never: longer packets are dropped by the kernel, which counts them as rx_dropped
)

// sg decides about XDP_USE_SG, given the most bytes that a packet can have in one frame.
func (r *Receiver) sg(usable int) bool {
	needed := r.iface.MTU+linkHeader > usable
	if needed && r.cfg.MultiBuffer == MultiBufferOff {
		r.mode.note("packets of more than %d bytes are lost, and counted as rx_dropped: the MTU is %d, and packets over several frames are switched off (--sg auto takes them)", usable, r.iface.MTU)
	}
	return r.cfg.MultiBuffer == MultiBufferOn || needed && r.cfg.MultiBuffer == MultiBufferAuto
}
