package stats

import (
	"reflect"
	"testing"
	"time"

	"xrx/umem"
)

// Every count of a queue, also one that is added some day, goes on; no level does.
func TestCarryAddsEveryCountAndNothingElse(t *testing.T) {
	fill := func(q *Queue, n uint64) {
		var set func(v reflect.Value)
		set = func(v reflect.Value) {
			for i := range v.NumField() {
				switch f := v.Field(i); f.Kind() {
				case reflect.Uint64:
					f.SetUint(n)
				case reflect.Int, reflect.Int64:
					f.SetInt(int64(n))
				case reflect.Map:
					f.Set(reflect.ValueOf(map[string]uint64{"a": n}))
				case reflect.Struct:
					set(f)
				}
			}
		}
		set(reflect.ValueOf(q).Elem())
	}
	var now, before, want Queue
	fill(&now, 3)
	fill(&before, 4)
	fill(&want, 7)
	want.Queue, want.CPU, want.Ledger = 0, CPU{3, 3}, umem.Ledger{Total: 3, Free: 3, Filling: 3, Received: 3, Held: 3, Delivered: 3, Sending: 3, Lost: 3}
	want.FillLevel, want.FillSize, want.RxLevel, want.Gather = 3, 3, 3, 3
	now.Queue, before.Queue = 0, 0
	at := time.Unix(1, 0)
	got := Snapshot{At: at, CPU: CPU{1, 2}, XDP: map[string]uint64{"x": 1}, Queues: []Queue{now}}.Carry(
		Snapshot{At: at.Add(-1), CPU: CPU{9, 9}, XDP: map[string]uint64{"x": 2, "y": 1}, Events: map[string]uint64{"link_up": 1}, Queues: []Queue{{Queue: 2, Packets: 5}, before}})
	if !reflect.DeepEqual(got.Queues[0], want) {
		t.Errorf("%+v\nwant\n%+v", got.Queues[0], want)
	}
	if len(got.Queues) != 2 || got.Queues[1].Queue != 2 || got.Queues[1].Packets != 5 {
		t.Errorf("a queue that is gone: %+v", got.Queues)
	}
	if got.At != at || got.CPU != (CPU{1, 2}) || got.XDP["x"] != 3 || got.XDP["y"] != 1 || got.Events["link_up"] != 1 {
		t.Errorf("%+v", got)
	}
	if now.Drops["a"] != 3 || before.Drops["a"] != 4 {
		t.Error("a snapshot that was given was changed")
	}
}

func TestCarryGoesOnCountingForWorkersAlsoWhileThereAreNone(t *testing.T) {
	before := Snapshot{Workers: []Worker{
		{Worker: 0, Packets: 5, Segments: 6, Bytes: 7, Backlog: 1, HighWater: 9, Held: 2, Drops: map[string]uint64{Quota: 3}},
		{Worker: 1, Packets: 1, HighWater: 2},
	}}
	now := Snapshot{Workers: []Worker{
		{Worker: 0, Packets: 1, Segments: 1, Bytes: 1, Backlog: 4, HighWater: 3, Held: 8, Drops: map[string]uint64{Quota: 1, BacklogFull: 1}},
		{Worker: 1, HighWater: 4},
	}}
	want := []Worker{
		{Worker: 0, Packets: 6, Segments: 7, Bytes: 8, Backlog: 4, HighWater: 9, Held: 8, Drops: map[string]uint64{Quota: 4, BacklogFull: 1}},
		{Worker: 1, Packets: 1, HighWater: 4, Drops: map[string]uint64{}},
	}
	if got := now.Carry(before).Workers; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	if now.Workers[0].Packets != 1 || before.Workers[0].Packets != 5 || now.Workers[0].Drops[Quota] != 1 {
		t.Error("a snapshot that was given was changed")
	}
	waiting := Snapshot{}.Carry(before).Workers // no interface: no worker has a backlog, or holds anything
	if len(waiting) != 2 || waiting[0].Packets != 5 || waiting[0].Drops[Quota] != 3 || waiting[0].Backlog != 0 || waiting[0].Held != 0 || waiting[0].HighWater != 9 {
		t.Errorf("while there is no receiver: %+v", waiting)
	}
}

func TestAReportFindsAQueueByItsNumber(t *testing.T) {
	from := Snapshot{At: t0, Queues: []Queue{{Queue: 1, Packets: 10}}}
	to := Snapshot{At: t0.Add(time.Second), Queues: []Queue{{Queue: 0, Packets: 3}, {Queue: 1, Packets: 15}}}
	r := NewReport("interval", "eth1", Mode{}, t0, from, to)
	if r.Queues[0].Rx.Packets != 3 || r.Queues[1].Rx.Packets != 5 || r.Rx.Packets != 8 {
		t.Errorf("%+v", r.Queues)
	}
}
