package gro

import "math/bits"

// mix is a keyed hash of two words to 64 bits (the folded multiplication of wyhash).
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// spread is the 32 bits of x that the table uses. Neighbours in a subnet differ little: every bit should count.
func spread(x uint64) uint32 { return uint32(x * 0x9e3779b97f4a7c15 >> 32) }

// hash4 is the hash of a flow whose identity, but for the Ethernet addresses, is in two words of the key: plain IPv4.
func (e *Engine) hash4(k2, k3 uint64) uint32 { return spread(mix(k2^e.seed[0], k3^e.seed[1])) }

// hashWide is the hash of a flow with the wide words.
func (e *Engine) hashWide(pk *pkt) uint32 {
	x := mix(pk.k2^e.seed[0], pk.k3^e.seed[1])
	x = mix(x^pk.k4, pk.k5^e.seed[2])
	x = mix(x^pk.k6, pk.k7^e.seed[3])
	if pk.k8 != 0 {
		x = mix(x^pk.k8, e.seed[0])
	}
	return spread(x)
}

// seal computes the hash; the key is complete.
func (e *Engine) seal(pk *pkt) {
	if pk.shape()&shapeWide != 0 {
		pk.hash = e.hashWide(pk)
	} else {
		pk.hash = e.hash4(pk.k2, pk.k3)
	}
	pk.keyed = true
}
