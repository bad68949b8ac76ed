package bpf_test

import (
	"net"
	"testing"

	"xrx/bpf"
	"xrx/umem"
	"xrx/xsk"
)

// openSocket opens an AF_XDP socket on an interface of the calling thread's namespace. It isn't bound: a
// map entry doesn't need that.
func openSocket(t testing.TB, iface string) *xsk.Socket {
	t.Helper()
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		t.Fatal(err)
	}
	u, err := umem.New(umem.Config{Frames: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := xsk.Open(xsk.Config{Umem: u, IfIndex: ifc.Index, Iface: iface, FillSize: 64, RxSize: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func load(t testing.TB, opts bpf.Options) *bpf.Program {
	t.Helper()
	p, err := bpf.Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// registered loads the program with a socket at queue 0 of lo: where BPF_PROG_TEST_RUN lets packets come from.
func registered(t testing.TB, opts bpf.Options) *bpf.Program {
	t.Helper()
	p := load(t, opts)
	if err := p.Register(0, openSocket(t, "lo").FD()); err != nil {
		t.Fatal(err)
	}
	return p
}
