package sys

import (
	"sync/atomic"
	"unsafe"
)

// LoadUint32 loads the first four bytes of shared memory, which must be four-byte aligned, as sync/atomic does.
func LoadUint32(b []byte) uint32 {
	_ = b[3]
	// Safety: the bounds were checked just now; mappings are page aligned.
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(unsafe.SliceData(b))))
}

// LoadUint64 loads the first eight bytes of shared memory, which must be eight-byte aligned, as sync/atomic does.
func LoadUint64(b []byte) uint64 {
	_ = b[7]
	// Safety: as above.
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(unsafe.SliceData(b))))
}
