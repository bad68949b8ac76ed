// Package bench is the home of the side-by-side benchmarks: xrx and its peers on the same input, in the same run, in
// turn. It is a module of its own, so that the peers' dependencies stay out of xrx's.
//
//	go -C bench run ./gro    GRO engines on six traces, ns per packet
//	go -C bench run ./rx     receivers on one veth pair, packets per second and CPU ns per packet
//
// They print tables and write them, with every sample and the machine, as JSON into docs/bench.
package bench
