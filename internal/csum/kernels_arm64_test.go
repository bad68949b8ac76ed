//go:build !purego

package csum

// kernels returns every implementation this CPU can run, each with the whole
// range of lengths: below its own range the vector kernel gives way to Go.
func kernels() []kernel {
	ks := []kernel{{"Sum", Sum}, {"go", sumGo}}
	if useVector {
		ks = append(ks, kernel{"neon", func(b []byte) uint16 {
			if len(b) < 8 {
				return sumGo(b)
			}
			return Fold(sumVector(b))
		}})
	}
	return ks
}
