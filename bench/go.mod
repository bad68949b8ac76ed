module xrx/bench

go 1.26.0

require (
	golang.org/x/sys v0.49.0
	xrx v0.0.0
)

require (
	github.com/google/btree v1.1.2 // indirect
	golang.org/x/time v0.7.0 // indirect
	gvisor.dev/gvisor v0.0.0-20250503011706-39ed1f5ac29c
)

replace xrx => ../
