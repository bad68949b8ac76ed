package oracle

import "slices"

// Minimise returns the shortest burst it finds for which fails still holds, by leaving packets out: halves first, then
// smaller pieces, down to single packets (delta debugging). It asks at most tries times. fails(b) holds on entry.
func Minimise(b Burst, tries int, fails func(Burst) bool) Burst {
	for piece := (len(b) + 1) / 2; piece > 0; {
		shorter := false
		for at := 0; at < len(b) && len(b) > 1; {
			if tries--; tries < 0 {
				return b
			}
			less := slices.Concat(b[:at], b[min(at+piece, len(b)):])
			if len(less) > 0 && fails(less) {
				b, shorter = less, true
			} else {
				at += piece
			}
		}
		switch {
		case piece > 1:
			piece = (piece + 1) / 2
		case !shorter:
			return b
		}
	}
	return b
}
