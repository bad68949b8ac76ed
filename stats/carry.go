package stats

import (
	"maps"
	"reflect"
	"slices"
)

// Carry adds to s what was counted before it began: by the same queues and workers of a receiver that is closed by now.
// What is not a count (levels, the ledger, a thread's processor time) stays as it is in s; a worker's high-water mark is the
// larger one. Neither snapshot is changed.
func (s Snapshot) Carry(before Snapshot) Snapshot {
	s.XDP, s.Events = added(s.XDP, before.XDP), added(s.Events, before.Events)
	s.Missed = larger(s.Missed, before.Missed) // taps count through all openings; without one they can't be asked
	s.Queues = slices.Clone(s.Queues)
	for _, old := range before.Queues {
		i := slices.IndexFunc(s.Queues, func(q Queue) bool { return q.Queue == old.Queue })
		if i < 0 {
			i = len(s.Queues)
			s.Queues = append(s.Queues, Queue{Queue: old.Queue})
		}
		addCounts(reflect.ValueOf(&s.Queues[i]).Elem(), reflect.ValueOf(old))
	}
	slices.SortFunc(s.Queues, func(a, b Queue) int { return a.Queue - b.Queue })
	s.Workers = slices.Clone(s.Workers)
	for i, old := range before.Workers { // in order, both
		if i == len(s.Workers) {
			s.Workers = append(s.Workers, Worker{Worker: old.Worker})
		}
		w := &s.Workers[i]
		w.HighWater = max(w.HighWater, old.HighWater)
		addCounts(reflect.ValueOf(w).Elem(), reflect.ValueOf(old))
	}
	return s
}

// addCounts adds every field that is a count: an unsigned number, or a map of them, in whatever struct but CPU and Ledger.
func addCounts(into, from reflect.Value) {
	for i := range into.NumField() {
		to, old := into.Field(i), from.Field(i)
		switch {
		case to.Kind() == reflect.Uint64:
			to.SetUint(to.Uint() + old.Uint())
		case to.Type() == reflect.TypeFor[map[string]uint64]():
			to.Set(reflect.ValueOf(added(to.Interface().(map[string]uint64), old.Interface().(map[string]uint64))))
		case to.Kind() == reflect.Struct:
			addCounts(to, old)
		}
	}
}

func larger(a, b map[string]uint64) map[string]uint64 {
	if len(b) == 0 {
		return a
	}
	m := maps.Clone(b)
	for k, n := range a {
		m[k] = max(n, m[k])
	}
	return m
}

func added(a, b map[string]uint64) map[string]uint64 {
	sum := make(map[string]uint64, len(a))
	maps.Copy(sum, a)
	for k, n := range b {
		sum[k] += n
	}
	return sum
}
