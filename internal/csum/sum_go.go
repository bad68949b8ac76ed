//go:build purego || !(amd64 || arm64)

package csum

const (
	minVector = 0
	useVector = false
)

func sumVector([]byte) uint64 { panic("csum: no vector kernel in this build") }
