package main

import (
	"testing"
	"time"

	"xrx/bench/internal/traces"
)

func TestEnginesMergeWhatTheTracesHoldAndReturnEveryFrame(t *testing.T) {
	ts, err := traces.New()
	if err != nil {
		t.Fatal(err)
	}
	// Packets in per packet out, of each engine that merges: two packets a burst on T1, for 64 segments of 1448 B are more than
	// 64 KiB; UDP only where its port is opted in.
	want := map[string]float64{"T1": 32, "T2a": 1, "T2b": 8, "T3": 1, "T5": 32}
	r := &result{}
	es, err := r.engines(options{cpu: 0}, ts)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Skipped {
		t.Log(s)
	}
	for _, e := range es {
		for i := range ts {
			tr := &ts[i]
			if !e.Runs(tr) || tr.Name == "T4" {
				continue
			}
			s, err := e.Measure(tr, time.Millisecond)
			if err != nil {
				t.Fatalf("%s on %s: %v", e.Name(), tr.Name, err)
			}
			ratio := want[tr.Name]
			if passes(e) || tr.UDP && !mergesUDP(e) {
				ratio = 1
			}
			if s.Ratio != ratio {
				t.Errorf("%s on %s: %v packets in per packet out, want %v", e.Name(), tr.Name, s.Ratio, ratio)
			}
			if _, ok := e.(*xrxEngine); ok && s.Allocs > 0.01 {
				t.Errorf("%s on %s: %v allocations per packet", e.Name(), tr.Name, s.Allocs)
			}
		}
	}
	for _, e := range es {
		if err := e.Close(); err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
}

func passes(e engine) bool {
	_, ok := e.(passThrough)
	d, isDPDK := e.(rteGRO)
	return ok || isDPDK && d.mode == "pass"
}

func mergesUDP(e engine) bool {
	x, ok := e.(*xrxEngine)
	return ok && x.udpOnly
}

func TestHeldFlowsFindEachOtherAndComeHome(t *testing.T) {
	for _, n := range []int{64, 1 << 13} {
		m, err := newManyFlows(traces.Many(n), true)
		if err != nil {
			t.Fatal(err)
		}
		s := measure(m, m.t.Frames[:traces.Burst], 5*time.Millisecond)
		if s.Ratio < 1.5 {
			t.Errorf("%d flows held: %v packets in per packet out, want most to be merged", n, s.Ratio)
		}
		if err := m.Close(); err != nil {
			t.Errorf("%d flows: %v", n, err)
		}
	}
}
