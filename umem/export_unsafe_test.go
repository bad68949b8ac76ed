package umem

import "unsafe"

// bytes returns the header as the raw memory that a stray write sees.
func (h *Header) bytes() []byte {
	// Safety: h lies in the region, and a header is HeaderSize bytes.
	return unsafe.Slice((*byte)(unsafe.Pointer(h)), HeaderSize)
}

// Safety: only the number is used.
func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
