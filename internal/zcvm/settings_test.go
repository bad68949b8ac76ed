package zcvm_test

import (
	"strings"
	"testing"
	"time"

	"xrx"
	"xrx/internal/steering"
	"xrx/internal/tune"
)

// knobs reads what can be read of these settings; what the card hasn't got is its refusal.
func knobs(t *testing.T, w wire, keys ...string) map[string]string {
	t.Helper()
	i, err := tune.OpenInterface(w.iface.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	values := map[string]string{}
	for _, key := range keys {
		if values[key], err = i.Get(key); err != nil {
			values[key] = err.Error()
		}
	}
	return values
}

func sameKnobs(t *testing.T, before, after map[string]string) {
	t.Helper()
	for key, was := range before {
		if after[key] != was {
			t.Errorf("%s: %s, was %s", key, after[key], was)
		}
	}
}

// A card's driver has what a veth has not: NAPIs that the kernel knows by queue, and coalescing.
func TestSettingsOfACardAreInForceWhileItReceivesAndThenAsTheyWere(t *testing.T) {
	w := zeroCopyWire(t)
	keys := []string{tune.DeferHardIRQs, tune.FlushTimeout, tune.Threaded, tune.AdaptiveRx, tune.RxUsecs, tune.RxFrames,
		tune.Queue(0, tune.DeferHardIRQs), tune.Queue(0, tune.FlushTimeout)}
	before := knobs(t, w, keys...)
	t.Logf("before: %v", before)
	r := w.open(t, xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 2, GROFlushTimeout: 300 * time.Microsecond, RxUsecs: 40, StateDir: t.TempDir()}})
	m := r.Mode()
	t.Logf("in force: %q; notes: %q", m.Settings, m.Notes)
	during := knobs(t, w, keys...)
	if all := strings.Join(m.Settings, "; "); !strings.Contains(all, "queue 0 "+tune.DeferHardIRQs+" 2 (was ") || !strings.Contains(all, "queue 0 "+tune.FlushTimeout+" 300000 (was ") {
		t.Errorf("in force: %s: want the NAPI of queue 0 set", all)
	}
	if during[tune.Queue(0, tune.DeferHardIRQs)] != "2" || during[tune.Queue(0, tune.FlushTimeout)] != "300000" || during[tune.DeferHardIRQs] != before[tune.DeferHardIRQs] {
		t.Errorf("while open: %v", during)
	}
	set, refused := strings.Contains(strings.Join(m.Settings, "; "), "rx-usecs 40 (was "), strings.Contains(strings.Join(m.Notes, "; "), "not set: rx-usecs: operation not supported")
	if set == refused || set != (during[tune.RxUsecs] == "40") { // virtio tells it, and does not take it
		t.Errorf("rx-usecs is %s, was %s; in force %q, notes %q", during[tune.RxUsecs], before[tune.RxUsecs], m.Settings, m.Notes)
	}
	x := newExchange(t, w, w.stream())
	running := receiving(t, r, x)
	x.send(500)
	running.end()
	x.done()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	sameKnobs(t, before, knobs(t, w, keys...))
}

// RSS that leads past the bound queue is told; a table that leads to it alone brings it everything, until it is undone.
func TestAnRSSTableSteersFlowsAndIsUndone(t *testing.T) {
	w := zeroCopyWire(t)
	twoQueues(t, w)
	keys := []string{tune.RSSTable, tune.RSSKey, tune.RSSFunction, tune.Channels}
	before := knobs(t, w, keys...)
	if strings.Contains(before[tune.RSSTable], "not supported") {
		t.Skipf("needs a card with an RSS table (scripts/zc-vm.sh --nic igb --queues 2): %s", before[tune.RSSTable])
	}
	past := func(r *xrx.Receiver) bool {
		return strings.Contains(strings.Join(r.Mode().Notes, "; "), "RSS spreads flows to queue")
	}
	r := w.open(t, xrx.Config{Queues: []int{1}})
	if !past(r) {
		t.Errorf("notes %q: want a warning that RSS leads to queue 0", r.Mode().Notes)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := tune.OpenSession(w.iface.Name, "steer", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, _, err := s.Iface.RSSEntries()
	if err != nil {
		t.Fatal(err)
	}
	table, err := steering.Table("1", entries, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ApplyAll([]tune.Change{{Key: tune.RSSTable, Value: s.Iface.TableValue(table)}}); err != nil {
		t.Fatal(err)
	}
	r = w.open(t, xrx.Config{Queues: []int{1}})
	if past(r) {
		t.Errorf("notes %q: nothing leads past queue 1", r.Mode().Notes)
	}
	x := newExchange(t, w, spread(w))
	running := receiving(t, r, x)
	x.send(2000)
	running.end()
	x.done()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Restore(false); err != nil {
		t.Error(err)
	}
	sameKnobs(t, before, knobs(t, w, keys...))
}
