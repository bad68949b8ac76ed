// Package bench is the home of the side-by-side benchmarks: xrx and its peers on the same input, in the same run, in
// turn. It is a module of its own, so that the peers' dependencies stay out of xrx's.
//
//	go -C bench run ./gro      GRO engines on six traces, ns per packet
//	go -C bench run ./all      the following one after the other
//	go -C bench run ./duel     what goals compare: receivers on a veth pair each, in turns of a fifth of a second
//	go -C bench run ./rx       receivers on one veth pair, packets per second and CPU ns per packet
//	go -C bench run ./latency  from a packet's turn in the source to the consumer
//	go -C bench run ./soak     loss by second at full rate
//	go -C bench run ./scale    queues, flows, frames held
//	go -C bench run ./profile  processor time by stage, flame graphs
//	go -C bench run ./pgo      the profile that xrx is built with, and what it brings
//	go -C bench run ./tables   docs/PERFORMANCE.md from their files
//
// They print tables and write them, with every sample and the machine, as JSON into docs/bench.
package bench
