package xsk

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"xrx/umem"
)

func plainUmem(t testing.TB, cfg umem.Config) *umem.Umem {
	t.Helper()
	u, err := umem.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

func TestEachRefusalOfTheKernelIsPutIntoWords(t *testing.T) {
	u := plainUmem(t, umem.Config{Frames: 4096, Headroom: 192})
	for _, c := range []struct {
		step  string
		errno syscall.Errno
		sg    bool
		words []string // none: nothing is known, and nothing is made up
	}{
		{"socket(AF_XDP)", syscall.EPERM, false, []string{"root", "CAP_NET_RAW", "CAP_BPF"}},
		{"SO_PREFER_BUSY_POLL", syscall.EPERM, false, []string{"takes CAP_NET_ADMIN"}},
		{"socket(AF_XDP)", syscall.EAFNOSUPPORT, false, []string{"no AF_XDP", "CONFIG_XDP_SOCKETS"}},
		{"XDP_UMEM_REG", syscall.ENOBUFS, false, []string{"locked-memory limit", "8 MiB", "ulimit -l", "--frames"}},
		{"XDP_UMEM_REG", syscall.EINVAL, false, []string{"chunks of 2048 bytes with headroom 192"}},
		{"XDP_UMEM_REG", syscall.ENOMEM, false, []string{"out of memory"}},
		{"XDP_RX_RING", syscall.ENOMEM, false, []string{"out of memory", "smaller rings"}},
		{"bind b0 queue 3 (copy)", syscall.EINVAL, false, []string{"queue 3", "real number of rx queues", "ethtool -l b0"}},
		{"bind b0 queue 3 (copy)", syscall.EBUSY, false, []string{"another AF_XDP socket", "2s of waiting", "--queues"}},
		{"bind b0 queue 3 (zerocopy)", syscall.EOPNOTSUPP, false, []string{"no AF_XDP zero-copy", "--bind copy"}},
		{"bind b0 queue 3 (zerocopy)", syscall.EOPNOTSUPP, true, []string{"multi-buffer", "XDP_USE_SG"}},
		{"bind b0 queue 3 (copy)", syscall.ENETDOWN, false, []string{"interface is down", "ip link set b0 up"}},
		{"bind b0 queue 3 (copy)", syscall.ENODEV, false, []string{"interface is gone"}},
		{"bind b0 queue 3 (copy)", syscall.ENXIO, false, []string{"interface is gone"}},
		{"bind b0 queue 3 (copy)", syscall.EPERM, false, []string{"root"}},
		{"bind b0 queue 3 (copy)", syscall.ENOMEM, false, []string{"out of memory"}},
		{"bind b0 queue 3 (copy)", syscall.EIO, false, nil},
		{"bind b0 queue 3 (copy)", syscall.EINVAL, true, []string{"queue 3", "Linux 6.6", "--sg off"}},
		{"bind b0 queue 3 (copy)", syscall.EBADF, false, []string{"to be shared is not bound"}},
		{"XDP_RX_RING", syscall.EINVAL, false, []string{"a power of two"}},
		{"map the fill ring", syscall.EBUSY, false, []string{"mapped before"}},
		{"XDP_RX_RING", syscall.EIO, false, nil},
		{"XDP_STATISTICS", syscall.EBADF, false, nil},
	} {
		t.Run(fmt.Sprintf("%s: %v, sg %v", c.step, c.errno, c.sg), func(t *testing.T) {
			s := &Socket{cfg: Config{Umem: u, Iface: "b0", Queue: 3, SG: c.sg}, fd: -1}
			err := s.failed(c.step, fmt.Errorf("wrapped: %w", c.errno))
			if !errors.Is(err, c.errno) {
				t.Errorf("errors.Is does not find %v in %v", c.errno, err)
			}
			var e *Error
			if !errors.As(err, &e) || e.Step != c.step {
				t.Fatalf("%#v", err)
			}
			if (c.words == nil) != (e.Why == "") {
				t.Errorf("why: %q", e.Why)
			}
			for _, w := range append(c.words, c.step, "xsk: ", c.errno.Error()) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is not one line", err)
			}
		})
	}
	second := &Socket{cfg: Config{Umem: u, Iface: "b0", Queue: 1, Share: &Socket{}}, fd: -1}
	for step, want := range map[string]bool{"bind b0 queue 1 (zerocopy)": true, "XDP_RX_RING": false} {
		err := second.failed(step, syscall.EOPNOTSUPP)
		if got := strings.Contains(err.Error(), "; queues that share a UMEM are all bound as the first one is: without --shared-umem each is by itself"); got != want {
			t.Errorf("%v", err)
		}
	}
	s := &Socket{cfg: Config{Umem: u}}
	if err := s.failed("step", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
	if err := s.failed("step", io.EOF); err.Error() != "xsk: step: EOF" || !errors.Is(err, io.EOF) {
		t.Errorf("an error that is no errno: %v", err)
	}
}

func TestAConfigThatCannotWorkIsRefusedBeforeAnySystemCall(t *testing.T) {
	u, other := plainUmem(t, umem.Config{Frames: 2}), plainUmem(t, umem.Config{Frames: 2})
	ok := Config{Umem: u, IfIndex: 1}
	with := func(f func(*Config)) Config { c := ok; f(&c); return c }
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no memory", Config{IfIndex: 1}, "needs Umem and IfIndex"},
		{"no interface", Config{Umem: u}, "needs Umem and IfIndex"},
		{"a negative interface", with(func(c *Config) { c.IfIndex = -1 }), "needs Umem and IfIndex"},
		{"a negative queue", with(func(c *Config) { c.Queue = -1 }), "queue -1: queues count from 0"},
		{"a fill ring of no power of two", with(func(c *Config) { c.FillSize = 1000 }), "fill ring of 1000 descriptors: the kernel takes powers of two (1 to 2097152); try 1024"},
		{"a negative fill ring", with(func(c *Config) { c.FillSize = -5 }), "fill ring of -5 descriptors: the kernel takes powers of two (1 to 2097152); try 1"},
		{"a huge rx ring", with(func(c *Config) { c.RxSize = 1 << 22 }), "rx ring of 4194304 descriptors: the kernel takes powers of two (1 to 2097152); try 2097152"},
		{"an rx ring of three", with(func(c *Config) { c.RxSize = 3 }), "try 4"},
		{"a completion ring of no power of two", with(func(c *Config) { c.CompSize = 65 }), "completion ring of 65 descriptors: the kernel takes powers of two (1 to 2097152); try 128"},
		{"a tx ring of no power of two", with(func(c *Config) { c.TxSize, c.CompSize = 100, 128 }), "tx ring of 100"},
		{"a share on other memory", with(func(c *Config) { c.Share = &Socket{cfg: Config{Umem: other}} }), "Share is a socket on another UMEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(c.cfg)
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestDefaultsOfAConfig(t *testing.T) {
	u := plainUmem(t, umem.Config{Frames: 2})
	for _, c := range []struct {
		in, want Config
	}{
		{Config{}, Config{FillSize: 2048, RxSize: 2048, CompSize: 64, Iface: "interface 7"}},
		{Config{TxSize: 512, Iface: "b0"}, Config{FillSize: 2048, RxSize: 2048, CompSize: 512, TxSize: 512, Iface: "b0"}},
		{Config{FillSize: 1, RxSize: 2, CompSize: 4, TxSize: 8}, Config{FillSize: 1, RxSize: 2, CompSize: 4, TxSize: 8, Iface: "interface 7"}},
	} {
		c.in.Umem, c.want.Umem, c.in.IfIndex, c.want.IfIndex = u, u, 7, 7
		if err := c.in.validate(); err != nil || c.in != c.want {
			t.Errorf("%+v, %v, want %+v", c.in, err, c.want)
		}
	}
}

func TestStatsAddAndSubtractFieldByField(t *testing.T) {
	a, b := Stats{10, 20, 30, 40, 50, 60}, Stats{1, 2, 3, 4, 5, 6}
	if got, want := a.Sub(b), (Stats{9, 18, 27, 36, 45, 54}); got != want {
		t.Errorf("%+v", got)
	}
	if got, want := a.Add(b), (Stats{11, 22, 33, 44, 55, 66}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestModesHaveTheNamesThatFlagsUse(t *testing.T) {
	for m, want := range map[Mode]string{Auto: "auto", ZeroCopy: "zerocopy", Copy: "copy"} {
		if m.String() != want {
			t.Errorf("%d is %q", m, m)
		}
	}
}
