//go:build !purego && (amd64 || arm64)

package csum

// sumGo is Sum as on a CPU without vector kernels. Tests here are not parallel.
func sumGo(b []byte) uint16 {
	saved := useVector
	useVector = false
	defer func() { useVector = saved }() // Sum may fault under test
	return Sum(b)
}
