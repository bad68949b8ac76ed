// Package csum is the Internet checksum (RFC 1071) of xrx: the one's-complement
// sum of a byte slice, and the arithmetic on such sums that verifying, caching
// and patching checksums takes. It allocates nothing.
//
// Sums are 16-bit, folded, not complemented, and in the machine's byte order:
// the sum of byte-swapped words is the byte-swapped sum (RFC 1071 section 2(B)),
// so nothing is swapped on the way in or out. A checksum field is written with
// binary.NativeEndian.PutUint16(b, ^sum) and a covered packet is intact when the
// sum over all of it, pseudo-header and checksum field included, is 0xffff. Do
// not mix these sums with values read by binary.BigEndian.
package csum
