package xsk

import (
	"unsafe"

	"xrx/internal/ring"
	"xrx/internal/sys"
)

// mapRing maps one ring of the socket and finds its indices by the offsets that the kernel gave.
func mapRing[T any](s *Socket, pgoff int64, o sys.XDPRingOffset, size int) (ring.Memory[T], error) {
	var d T
	mem, err := sys.XSKMap(s.fd, pgoff, int(o.Desc)+size*int(unsafe.Sizeof(d)))
	if err != nil {
		return ring.Memory[T]{}, err
	}
	s.maps = append(s.maps, mem)
	// Safety: the mapping holds o.Desc bytes of indices and then size descriptors (net/xdp/xsk_queue.h), the offsets
	// are the kernel's own, and the mapping outlives the ring: Close drops both together.
	base := unsafe.Pointer(unsafe.SliceData(mem))
	return ring.Memory[T]{
		Producer: (*uint32)(unsafe.Add(base, o.Producer)),
		Consumer: (*uint32)(unsafe.Add(base, o.Consumer)),
		Flags:    (*uint32)(unsafe.Add(base, o.Flags)),
		Descs:    unsafe.Slice((*T)(unsafe.Add(base, o.Desc)), size),
	}, nil
}
