package rig

import "xrx/stats"

// Sample is one receiver under one load, once.
type Sample struct {
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	Seconds  float64 `json:"seconds"` // in which the source sent
	CPU      float64 `json:"cpu_s"`   // user and system, of all its threads, while frames were sent
	Batch    float64 `json:"batch"`   // packets per time that it found any; 0 = unknown
	Syscalls float64 `json:"syscalls_per_packet"`
	Counted  bool    `json:"syscalls_counted"`
	// What other programs took meanwhile: of the receiver's processor, and of the source's.
	Others       float64 `json:"others_percent"`
	SourceOthers float64 `json:"source_others_percent"`
	// How long a cache line took between the source's and the receiver's processor and back, right before: lab.Crossing.
	Crossing float64 `json:"crossing_ns"`
	// With stamps: the packets' ages, and by how much the source was late itself.
	Latency *stats.Latency `json:"latency,omitempty"`
	Late    *Late          `json:"source_late,omitempty"`
}

// PPS is packets received a second.
func (s Sample) PPS() float64 { return float64(s.Received) / s.Seconds }

// Loss is the part of the frames that did not arrive, percent. A packet socket may see a few more than were sent: the end's own.
func (s Sample) Loss() float64 { return max(0, 100*(1-float64(s.Received)/float64(s.Sent))) }

// Disturbed is what others took of the processor where they took more, percent.
func (s Sample) Disturbed() float64 { return max(s.Others, s.SourceOthers) }

// Cost is the receiver's processor time per packet, ns.
func (s Sample) Cost() float64 { return s.CPU * 1e9 / float64(max(1, s.Received)) }
