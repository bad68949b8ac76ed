package xrx_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/internal/netdev"
	"xrx/internal/testnet"
)

// classFiles reads files of b0 in /sys/class/net.
func classFiles(t *testing.T, n *testnet.Net, files ...string) (values []string) {
	t.Helper()
	n.InB(func() {
		d, err := netdev.OpenDevice(n.B.Iface)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, file := range files {
			v, err := d.ReadClass(file)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
	})
	return values
}

func state(t *testing.T, n *testnet.Net) (s map[string]string) {
	t.Helper()
	n.InB(func() {
		s = testnet.State(t, n.B.Iface)
		s["ip"] = n.Exec(n.B, "ip", "-d", "link", "show", "dev", n.B.Iface)
	})
	return s
}

// unchanged compares b0 with what it was, once the kernel has taken down the sockets, which it does a little later.
func unchanged(t *testing.T, n *testnet.Net, before map[string]string) {
	t.Helper()
	eventually(t, 10*time.Second, "the queues are free", func() bool { return state(t, n)["sockets"] == before["sockets"] })
	testnet.SameState(t, before, state(t, n))
}

func TestSettingsAreInForceFromOpenToCloseAndThenAsTheyWere(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	n := testnet.New(t, testnet.Options{Queues: 2})
	if err := n.B.SysClass("gro_flush_timeout", "4321"); err != nil {
		t.Fatal(err)
	}
	before := state(t, n)
	dir := filepath.Join(t.TempDir(), "state")
	for range 2 {
		var r *xrx.Receiver
		n.InB(func() {
			var err error
			r, err = xrx.Open(n.B.Iface, &xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 3, GROFlushTimeout: 50 * time.Microsecond, Threaded: xrx.On, RxUsecs: 20, StateDir: dir}})
			if err != nil {
				t.Fatal(err)
			}
		})
		if got := strings.Join(classFiles(t, n, "napi_defer_hard_irqs", "gro_flush_timeout", "threaded"), " "); got != "3 50000 1" {
			t.Errorf("while open: %s, want 3 50000 1", got)
		}
		m := r.Mode()
		settings, notes := strings.Join(m.Settings, "; "), strings.Join(m.Notes, "; ")
		if settings != "threaded 1 (was 0); gro_flush_timeout 50000 (was 4321); napi_defer_hard_irqs 3 (was 0)" {
			t.Errorf("in force: %s", settings)
		}
		if !strings.Contains(notes, "not set: rx-usecs: operation not supported: the driver has no such setting") {
			t.Errorf("notes %q: want the refusal of rx-usecs in words", notes)
		}
		if files, _ := filepath.Glob(dir + "/run-*-b0.json"); len(files) != 1 {
			t.Errorf("state files %v, want one", files)
		}
		var got atomic.Uint64
		x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
		newFrameMaker(n, 1).send(t, sender(t, n), 0, 100, got.Load)
		eventually(t, 10*time.Second, "packets arrive", func() bool { return got.Load() == 100 })
		if err := x.end(); err != nil {
			t.Error(err)
		}
		if l := r.Ledger(); l.Lost != 0 {
			t.Errorf("ledger %v", l)
		}
		if err := r.Close(); err != nil { // from outside of the namespace
			t.Error(err)
		}
		unchanged(t, n, before)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("state directory: %v, %v: want it empty", left, err)
		}
	}
}

func TestARefusedSettingIsAnErrorWhereThatIsAskedForAndNothingIsLeft(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	n := testnet.New(t, testnet.Options{})
	before := state(t, n)
	n.InB(func() {
		_, err := xrx.Open(n.B.Iface, &xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 3, RxFrames: 8, Strict: true, StateDir: t.TempDir()}})
		if err == nil || !strings.Contains(err.Error(), "rx-frames") || !strings.Contains(err.Error(), "no such setting") || !strings.Contains(err.Error(), "--strict-settings") {
			t.Errorf("%v", err)
		}
	})
	unchanged(t, n, before)
	n.InB(func() { // no state, no change
		_, err := xrx.Open(n.B.Iface, &xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 3, StateDir: "/proc/xrx"}})
		if err == nil || !strings.Contains(err.Error(), "no setting is changed") {
			t.Errorf("%v", err)
		}
	})
	unchanged(t, n, before)
}

func TestSettingsOfAnInterfaceThatIsDeletedNeedNoUndoing(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	dir := t.TempDir()
	var r *xrx.Receiver
	n.InB(func() {
		var err error
		if r, err = xrx.Open(n.B.Iface, &xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 3, StateDir: dir}}); err != nil {
			t.Fatal(err)
		}
	})
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestASettingThatSomebodyChangesMeanwhileIsLeftToHim(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	dir := t.TempDir()
	var r *xrx.Receiver
	n.InB(func() {
		var err error
		if r, err = xrx.Open(n.B.Iface, &xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 3, GROFlushTimeout: time.Millisecond, StateDir: dir}}); err != nil {
			t.Fatal(err)
		}
	})
	if err := n.B.SysClass("napi_defer_hard_irqs", "7"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(classFiles(t, n, "napi_defer_hard_irqs", "gro_flush_timeout"), " "); got != "7 0" {
		t.Errorf("%s, want 7 0", got)
	}
	if notes := r.Mode().Notes; len(notes) == 0 || !strings.Contains(notes[len(notes)-1], "not put back: napi_defer_hard_irqs is 7 now, not the 3 that was set") {
		t.Errorf("notes %q", notes)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSettingsThatCanNotBeMeantAreRefused(t *testing.T) {
	for want, s := range map[string]xrx.Settings{
		"at most 1s":             {GROFlushTimeout: 2 * time.Second},
		"rx-usecs 2000000":       {RxUsecs: 2e6},
		"by itself":              {AdaptiveRx: xrx.On, RxUsecs: 5},
		"napi_defer_hard_irqs 4": {DeferHardIRQs: 1 << 32},
	} {
		if err := (&xrx.Config{Settings: s}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	for want, c := range map[string]xrx.Config{"1.5µs": {BusyPoll: 1500}, "70000": {BusyBudget: 70000}} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
