package zcvm_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"xrx"
	"xrx/xsk"
)

// fallbackWire returns a wire whose receiving end is known to have no zero-copy, or skips the test.
func fallbackWire(t *testing.T) wire {
	t.Helper()
	name := os.Getenv("XRX_FALLBACK_IFACE")
	if name == "" {
		t.Skip("needs a card without zero-copy: XRX_FALLBACK_IFACE names none (scripts/zc-vm.sh --nic e1000e)")
	}
	return named(t, name)
}

// Drivers with XDP but no zero-copy, and drivers without XDP: what they fall back to, and the reason in words.
func TestACardWithoutZeroCopyReceivesByTheNextBestWayAndSaysWhy(t *testing.T) {
	w := fallbackWire(t)
	want := map[string]struct{ mode, reason string }{
		"e1000e":  {"skb+copy", "native"},
		"vmxnet3": {"native+copy", "not zerocopy"},
	}[os.Getenv("XRX_ZC_NIC")]
	r, err := xrx.Open(w.iface.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	m := r.Mode()
	t.Logf("%s: %s", m, m.Reason)
	if want.mode != "" && (m.String() != want.mode || !strings.Contains(m.Reason, want.reason)) {
		t.Errorf("mode %s, want %s with a reason that says %q", m, want.mode, want.reason)
	}
	if m.Bind != "copy" || !strings.Contains(m.Reason, "not zerocopy") {
		t.Errorf("mode %s, reason %q: want one that says why not zerocopy", m, m.Reason)
	}
	x := newExchange(t, w, w.stream())
	running := receiving(t, r, x)
	x.send(2000)
	running.end()
	x.done()
	if l := r.Ledger(); l.Lost != 0 {
		t.Error(l)
	}
}

func TestACardWithoutZeroCopyRefusesItInWords(t *testing.T) {
	w := fallbackWire(t)
	r, err := xrx.Open(w.iface.Name, &xrx.Config{Bind: xsk.ZeroCopy})
	if err == nil {
		r.Close()
		t.Fatal("opened with a zero-copy bind")
	}
	t.Log(err)
	if !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v: want the kernel's errno in it", err)
	}
	// Without native XDP it does not come as far as asking for zero-copy.
	if said := err.Error(); !strings.Contains(said, "no AF_XDP zero-copy") && !strings.Contains(said, "zero-copy (--bind zerocopy) needs the XDP program in native mode") {
		t.Errorf("%v: want words", err)
	}
}
