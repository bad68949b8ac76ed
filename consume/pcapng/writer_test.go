package pcapng_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"xrx"
	"xrx/consume/pcapng"
	"xrx/gro"
	"xrx/internal/consumertest"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is what another reader finds in a file.
type file struct {
	packets  [][]byte
	times    []int64
	received uint64
	dropped  uint64
}

func read(t *testing.T, name string) (f file) {
	t.Helper()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{StatisticsCallback: func(_ int, s pcapgo.NgInterfaceStatistics) {
		f.received, f.dropped = s.PacketsReceived, s.PacketsDropped
	}})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for {
		b, ci, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return f
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f.packets, f.times = append(f.packets, b), append(f.times, ci.Timestamp.UnixNano())
	}
}

// stream is so many TCP segments that GRO can merge.
func stream(g *consumertest.Rig, count int) (list [][]byte) {
	f := frames.TCP(g.From(false, 4000), g.To(false, 5201), 1, nil)
	for i := range count {
		f.Payload = bytes.Repeat([]byte{byte(i)}, 1000)
		list = append(list, g.Frame(f))
		f.Seq += 1000
		f.ID++
	}
	return list
}

// ours picks the packets of stream out of what the namespace itself sends beside.
func ours(packets [][]byte) [][]byte {
	return slices.DeleteFunc(packets, func(b []byte) bool { return len(b) != 1054 })
}

func TestFilesHoldWhatWasSentAcrossRotationAndSayWhatWasReceived(t *testing.T) {
	testnet.Require(t, "cmd:tcpdump")
	for _, queues := range []int{1, 2} {
		g := consumertest.New(t, &xrx.Config{Frames: 8192, GRO: &gro.Config{}}, testnet.Options{Queues: queues})
		dir := t.TempDir()
		w, err := pcapng.Create(filepath.Join(dir, "b0.pcapng"), &pcapng.Config{Wire: true, RotateSize: 500e3, Iface: "b0", Snapshot: g.R.Snapshot})
		if err != nil {
			t.Fatal(err)
		}
		g.Consume(xrx.BatchHandler(w.Take))
		list := stream(g, 5000)
		g.Send(list, g.Received)
		consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
		g.Stop()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s := w.Stats()
		if len(s.Files) < 10 || len(s.Drops) != 0 {
			t.Fatalf("%+v", s)
		}
		var all file
		lines := 0
		for _, name := range s.Files {
			if info, err := os.Stat(name); err != nil || info.Size() > 500e3 {
				t.Errorf("%s: %v, %v", name, info.Size(), err)
			}
			f := read(t, name)
			all.packets, all.times = append(all.packets, f.packets...), append(all.times, f.times...)
			all.received, all.dropped = all.received+f.received, all.dropped+f.dropped
			text, err := exec.Command("tcpdump", "-n", "-r", name).Output()
			if err != nil {
				t.Errorf("tcpdump -r %s: %v", name, err)
			}
			lines += bytes.Count(text, []byte("\n"))
		}
		if uint64(len(all.packets)) != s.Written || lines != len(all.packets) || all.received != g.Received() || s.Written != all.received || all.dropped != 0 {
			t.Errorf("%d packets, tcpdump shows %d, the files say %d received and %d dropped; written %d of %d", len(all.packets), lines,
				all.received, all.dropped, s.Written, g.Received())
		}
		if !slices.IsSorted(all.times) {
			t.Error("the times go back")
		}
		if got := ours(all.packets); !slices.EqualFunc(got, list, bytes.Equal) {
			t.Errorf("%d packets sent, %d in the files, not the same", len(list), len(got))
		}
	}
}

func TestMergedPacketsAreWrittenMergedByDefault(t *testing.T) {
	g := consumertest.New(t, &xrx.Config{GRO: &gro.Config{Flush: 5e6}}, testnet.Options{})
	w, err := pcapng.Create(filepath.Join(t.TempDir(), "b0.pcapng"), nil)
	if err != nil {
		t.Fatal(err)
	}
	g.Consume(xrx.BatchHandler(w.Take))
	list := stream(g, 640)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	payload, packets := 0, 0
	for _, b := range read(t, w.Stats().Files[0]).packets {
		if len(b) >= 1054 {
			payload, packets = payload+len(b)-54, packets+1
		}
	}
	if payload != 640_000 || packets > 320 {
		t.Errorf("%d bytes of payload in %d packets", payload, packets)
	}
}

func TestTheOldestFileOfARingIsDeletedAndNobodyElsesFile(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	dir := t.TempDir()
	other := filepath.Join(dir, "b0_00000_20200101000000.pcapng")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := pcapng.Create(filepath.Join(dir, "b0.pcapng"), &pcapng.Config{RotateSize: 50e3, Files: 3})
	if err != nil {
		t.Fatal(err)
	}
	g.Consume(xrx.BatchHandler(w.Take))
	list := stream(g, 1000)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	if want := append([]string{other}, w.Stats().Files...); !slices.Equal(names, want) || len(names) != 4 {
		t.Fatalf("files %v, want %v", names, want)
	}
	var got [][]byte
	for _, name := range names[1:] {
		got = append(got, read(t, name).packets...)
	}
	if got = ours(got); len(got) < 40 || !slices.EqualFunc(got, list[len(list)-len(got):], bytes.Equal) {
		t.Errorf("the ring has %d packets, not the last that were sent", len(got))
	}
}

// pipe makes a named pipe: a file that is as slow as its reader, and fails when that has gone.
func pipe(t *testing.T) (path string, reader *os.File) {
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return path, reader
}

func TestAFileThatIsSlowLosesPacketsByNameAndTheReceiverGoesOn(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	path, reader := pipe(t)
	w, err := pcapng.Create(path, &pcapng.Config{Backlog: 1 << 18, Snapshot: g.R.Snapshot})
	if err != nil {
		t.Fatal(err)
	}
	g.Consume(xrx.BatchHandler(w.Take))
	list := stream(g, 3000)
	g.Send(list, g.Received) // nobody reads the pipe: 64 KiB, and then writing waits
	consumertest.Eventually(t, "the receiver has everything although writing stands still", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	received := g.Received()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, reader)
	}()
	err = w.Close()
	reader.Close()
	<-drained
	s := w.Stats()
	if err != nil || s.Drops["backlog"] == 0 || s.Written+s.Drops["backlog"] != received || s.Drops["write"] != 0 {
		t.Errorf("%+v of %d received, %v", s, received, err)
	}
}

func TestAFileThatFailsIsSaidOnceAndTheReceiverGoesOn(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	path, reader := pipe(t)
	var said atomic.Int32
	w, err := pcapng.Create(path, &pcapng.Config{OnError: func(error) { said.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	g.Consume(xrx.BatchHandler(w.Take))
	list := stream(g, 2000)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "the receiver has everything", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	if err := w.Close(); !errors.Is(err, syscall.EPIPE) || !errors.Is(w.Err(), syscall.EPIPE) || said.Load() != 1 {
		t.Errorf("%v, said %d times", err, said.Load())
	}
	if s := w.Stats(); s.Drops["write"] != g.Received() || s.Written != 0 {
		t.Errorf("%+v of %d received", s, g.Received())
	}
}

func TestWhatCanNotBeWrittenIsRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		path string
		cfg  pcapng.Config
		want string
	}{
		{"/dev/full", pcapng.Config{}, "no space left"},
		{filepath.Join(t.TempDir(), "no", "dir.pcapng"), pcapng.Config{}, "no such file"},
		{"x.pcapng", pcapng.Config{Files: 3}, "by size or time"},
		{"x.pcapng", pcapng.Config{RotateSize: 10}, "at least 4096"},
		{"x.pcapng", pcapng.Config{RotateEvery: 1}, "at least 1s"},
		{"x.pcapng", pcapng.Config{Backlog: 10}, "backlog"},
	} {
		if w, err := pcapng.Create(c.path, &c.cfg); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "pcapng: ") {
			t.Errorf("%s, %+v: %v, %v: want %q", c.path, c.cfg, w, err, c.want)
		}
	}
}

func TestTheExampleWrites(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	consumertest.Example(t, Example, " packets in 1 files, lost map[]", func(n *testnet.Net) frames.Frame {
		return frames.UDP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), []byte("hello"))
	})
}
