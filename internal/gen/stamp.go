package gen

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"xrx/internal/frames"
)

// stampMask keeps what a stamp holds of a time: it comes round after 78 hours.
const stampMask = 1<<48 - 1

// Clock reads CLOCK_MONOTONIC, which is the same in all processes of a machine
// (but not in another time namespace), without a system call.
type Clock struct {
	at     time.Time
	offset int64 // CLOCK_MONOTONIC at that moment, ns
}

// NewClock takes the difference between Go's clock, which counts from the
// start of the process, and the kernel's: to some 100 ns.
func NewClock() Clock {
	var best Clock
	least := time.Hour
	for range 64 {
		var ts unix.Timespec
		before := time.Now()
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
			break // Linux always has it
		}
		if took := time.Since(before); took < least {
			least = took
			best = Clock{at: before, offset: ts.Nano() - int64(took/2)}
		}
	}
	return best
}

// Now returns CLOCK_MONOTONIC in ns.
func (c Clock) Now() int64 { return c.offset + int64(time.Since(c.at)) }

// putStamp turns a payload of putPayload, at least stampedHeader bytes, into a
// stamped one.
func putStamp(p []byte, ns int64) {
	copy(p[13:], stampedMagic[:])
	binary.BigEndian.PutUint16(p[16:], uint16(ns>>32))
	binary.BigEndian.PutUint32(p[18:], uint32(ns))
}

// Age returns how long before now, of the Clock, the L4 payload was stamped;
// false when it has no stamp, or one from the future (of another machine).
func Age(payload []byte, now int64) (time.Duration, bool) {
	if len(payload) < stampedHeader || [3]byte(payload[13:16]) != stampedMagic {
		return 0, false
	}
	stamp := int64(binary.BigEndian.Uint16(payload[16:]))<<32 | int64(binary.BigEndian.Uint32(payload[18:]))
	age := (now - stamp) & stampMask
	return time.Duration(age), age <= stampMask/2
}

// Payload returns the L4 payload of a frame with the headers that this package
// writes, nil if it has others. It verifies nothing.
func Payload(frame []byte) []byte {
	at, etherType, ok := skipEthernet(frame)
	if !ok {
		return nil
	}
	var proto uint8
	switch {
	case etherType == frames.TypeIPv4 && len(frame) >= at+20 && frame[at] == 0x45:
		proto = frame[at+9]
		at += 20
	case etherType == frames.TypeIPv6 && len(frame) >= at+40:
		proto = frame[at+6]
		at += 40
	}
	switch {
	case proto == frames.ProtoUDP:
		at += 8
	case proto == frames.ProtoTCP && len(frame) >= at+20:
		at += int(frame[at+12]>>4) * 4
	default:
		return nil
	}
	if at > len(frame) {
		return nil
	}
	return frame[at:]
}
