// Package bench is the home of the side-by-side benchmarks: xrx and its peers on the same input, in the same run, in
// turn. It is a module of its own, so that the peers' dependencies stay out of xrx's.
//
//	go -C bench run ./gro    GRO engines on six traces, ns per packet
//	go -C bench run ./rx     receivers on one veth pair, packets per second and CPU ns per packet
//
// Both print one table and write it, with every sample and the machine, as JSON into bench/out.
package bench
