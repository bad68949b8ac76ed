package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// screen is where a running dump writes to, to be read while it runs. While it is shut, writes wait.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	gate sync.Mutex
}

func (s *screen) Write(p []byte) (int, error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// runningDump is a dump of b0 in the background.
type runningDump struct {
	t              *testing.T
	stdout, stderr screen
	interrupt      context.CancelFunc
	code           chan int
}

// startDump starts dump on b0 and returns when it receives.
func startDump(t *testing.T, n *testnet.Net, args ...string) *runningDump {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &runningDump{t: t, interrupt: cancel, code: make(chan int, 1)}
	go func() {
		code := -1
		if err := n.B.Do(func() error {
			code = execute(ctx, env{stdout: &d.stdout, stderr: &d.stderr}, append([]string{"dump", n.B.Iface}, args...))
			return nil
		}); err != nil {
			d.stderr.Write([]byte(err.Error()))
		}
		d.code <- code
	}()
	t.Cleanup(cancel)
	d.await("it receives", func() bool { return strings.Contains(d.stderr.String(), "receiving on b0") })
	return d
}

func (d *runningDump) await(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if len(d.code) > 0 || time.Now().After(deadline) {
			d.t.Fatalf("still not, or never: %s; stderr %q", what, d.stderr.String())
		}
	}
}

// end waits for the dump, which must end well, and returns its summary.
func (d *runningDump) end() dumpCounts {
	d.t.Helper()
	select {
	case code := <-d.code:
		if code != 0 {
			d.t.Fatalf("code %d, stderr %q", code, d.stderr.String())
		}
	case <-time.After(20 * time.Second):
		d.t.Fatalf("does not end; stderr %q", d.stderr.String())
	}
	return parseCounts(d.t, d.stderr.String())
}

// dumpCounts is the summary.
type dumpCounts struct{ received, delivered, shown, dropped, kernel, xrx, output, unshown int }

var countsPattern = regexp.MustCompile(`(?m)^([\d,]+) packets received, ([\d,]+) delivered \([\d.]+ to 1\), ([\d,]+) (?:printed|written)
dropped ([\d,]+): ([\d,]+) by the kernel, ([\d,]+) by xrx, ([\d,]+) because output was too slow(?: \(([\d,]+) delivered packets; more --buffer, or -w\))?$`)

func parseCounts(t *testing.T, stderr string) dumpCounts {
	t.Helper()
	m := countsPattern.FindStringSubmatch(stderr)
	if m == nil || strings.Contains(stderr, "frames total") {
		t.Fatalf("summary %q", stderr)
	}
	var n [9]int
	for i := 1; i < len(m); i++ {
		n[i], _ = strconv.Atoi(strings.ReplaceAll(m[i], ",", ""))
	}
	return dumpCounts{n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]}
}

// segsShown sums up segs over what has been printed as JSON.
func (d *runningDump) segsShown() (segs int) {
	text := d.stdout.String()
	text = text[:strings.LastIndex(text, "\n")+1]
	for _, m := range segsPattern.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		segs += n
	}
	return segs
}

var segsPattern = regexp.MustCompile(`"segs":(\d+)`)

// addrOf is an address of one end of the pair.
func addrOf(e *testnet.End, port int) netip.AddrPort { return netip.AddrPortFrom(e.IP4, uint16(port)) }

// bigRings have room for a burst that the receiver is late for, on a busy machine.
const bigRings = "--frames=16384"

func TestDumpShowsATCPStreamMergedAndWhole(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	d := startDump(t, n, "--json", "--gather", "5ms", bigRings)
	const count = 3000
	n.InA(func() {
		code, _, stderr := runCommand(context.Background(), "gen", "a0", "--engine", "packet", "--proto", "tcp", "--size", "1514", "--count", fmt.Sprint(count))
		if code != 0 {
			t.Fatal(stderr)
		}
	})
	d.await("everything is shown", func() bool { return d.segsShown() >= count })
	d.interrupt()
	sum := d.end()
	payload, packets, segs, next := 0, 0, 0, uint32(0)
	for _, r := range dumpRows(t, d.stdout.String()) {
		packets++
		if r.Proto != "tcp4" || r.Dst != n.B.IP4.String() {
			continue
		}
		if r.Csum != "ok" || r.Seq != next || r.Payload != (r.Segs-1)*max(r.GSOSize, 1448)+1448 || r.Len != 66+r.Payload {
			t.Errorf("%+v, want seq %d", r, next)
		}
		payload += r.Payload
		segs += r.Segs
		next = r.Seq + uint32(r.Payload)
	}
	if payload != count*1448 || segs != count || packets > count/4 {
		t.Errorf("%d bytes of %d, %d segments in %d packets", payload, count*1448, segs, packets)
	}
	if sum.received < count || sum.dropped != 0 || sum.shown != packets || sum.delivered != packets {
		t.Errorf("summary %+v for %d packets", sum, packets)
	}
}

func TestDumpStopsAfterAsManyPacketsAsAsked(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	d := startDump(t, n, "-n", "7", "--gro", "off")
	s := n.Sender()
	var list [][]byte
	for i := range 20 {
		f := frames.UDP(addrOf(n.A, 1000+i), addrOf(n.B, 9), []byte("hello"))
		f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
		list = append(list, f.Append(nil))
	}
	s.Send(list...)
	sum := d.end()
	lines := strings.Split(strings.TrimSpace(d.stdout.String()), "\n")
	if len(lines) != 7 || sum.shown != 7 {
		t.Errorf("%d lines, summary %+v", len(lines), sum)
	}
	for _, l := range lines {
		if !strings.Contains(l, "UDP, length 5 segs=1 gso=0") && !strings.Contains(l, "ICMP6") && !strings.Contains(l, "IP6") {
			t.Errorf("line %q", l)
		}
	}
}

func TestReplayOfAWireFileIsTheLiveResult(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	path := filepath.Join(t.TempDir(), "wire.pcapng")
	// A budget that is never used up: a full poll would leave packets held for the next one, and the file does not say
	// where polls ended.
	d := startDump(t, n, "--json", "--wire", "-w", path, "--gather", "2ms", "--budget", "4096", bigRings)
	s := n.Sender()
	var list [][]byte
	for i, p := range mixture() {
		f := p.b
		if i%11 == 0 { // breaks what it belongs to
			f = bytes.Clone(f)
			f[len(f)-1] ^= 0x40
		}
		list = append(list, f)
	}
	for part := range slices.Chunk(list, 97) {
		s.SendPaced(part, 100_000)
	}
	d.await("everything is shown", func() bool { return d.segsShown() >= len(list) })
	d.interrupt()
	if sum := d.end(); sum.dropped != 0 {
		t.Errorf("summary %+v", sum)
	}
	live := withoutHash(d.stdout.String())
	replayed, _ := replayFile(t, path, "--json", "--gather", "0", "--budget", "4096")
	if replayed = withoutHash(replayed); live != replayed {
		t.Errorf("live %d lines, replayed %d lines: not the same", strings.Count(live, "\n"), strings.Count(replayed, "\n"))
	}
	if !strings.Contains(live, `"csum":"bad"`) || !strings.Contains(live, `"gso_size":1448`) {
		t.Error("the mixture was no mixture")
	}
	got := fileBytes(t, path)
	for _, w := range list {
		if i := slices.IndexFunc(got, func(g []byte) bool { return bytes.Equal(g, w) }); i >= 0 {
			got = slices.Delete(got, i, i+1)
		} else {
			t.Fatal("a packet that was sent is not in the file")
		}
	}
	if len(got) > 50 { // what the namespace itself sends beside
		t.Errorf("%d packets in the file that were not sent", len(got))
	}
}

// withoutHash removes what only the XDP program knows.
func withoutHash(s string) string { return hashPattern.ReplaceAllString(s, `"hash":null`) }

var hashPattern = regexp.MustCompile(`"hash":(\d+|null)`)

func TestOutputThatCanNotKeepUpLosesPacketsByName(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	d := startDump(t, n, "--buffer", "1", "--gro", "off", bigRings)
	d.stdout.gate.Lock()
	s := n.Sender()
	f := frames.UDP(addrOf(n.A, 1000), addrOf(n.B, 9), make([]byte, 1400))
	f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
	const count = 6000 // less than the ring takes: it is the output that must not keep up, not the receiver
	one := f.Append(nil)
	list := make([][]byte, count)
	for i := range list {
		list[i] = one
	}
	s.Send(list...)
	d.interrupt()
	d.stdout.gate.Unlock()
	sum := d.end()
	lines := strings.Count(d.stdout.String(), "\n")
	if sum.kernel != 0 || sum.xrx != 0 || sum.output == 0 || sum.output != sum.unshown {
		t.Errorf("summary %+v: want losses of the output and of nobody else", sum)
	}
	if sum.received < count || sum.received != lines+sum.output || sum.shown != lines {
		t.Errorf("summary %+v with %d lines: %d packets unaccounted", sum, lines, sum.received-lines-sum.output)
	}
}

func TestADumpWhoseOutputFailsEndsAndSaysWhy(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	s := n.Sender()
	f := frames.UDP(addrOf(n.A, 1000), addrOf(n.B, 9), make([]byte, 100))
	f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := startDump(t, n, "-w", path)
	reader.Close()
	s.Send(f.Append(nil))
	select {
	case code := <-d.code:
		if code != 1 || !strings.Contains(d.stderr.String(), "broken pipe") {
			t.Errorf("code %d, stderr %q", code, d.stderr.String())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("goes on without its file")
	}
}

func TestDumpRotatesItsFilesAndLosesNothingBetweenThem(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:tcpdump")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	dir := t.TempDir()
	d := startDump(t, n, "-w", filepath.Join(dir, "b0.pcapng"), "--json", "--wire", "--rotate-size", "1", "--gro", "off", bigRings)
	const count = 3000
	s := n.Sender()
	var sent [][]byte
	for i := range count {
		f := frames.UDP(addrOf(n.A, 1000), addrOf(n.B, 9), fmt.Appendf(make([]byte, 1000), "%06d", i))
		f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
		sent = append(sent, f.Append(nil))
	}
	s.Send(sent...)
	d.await("everything is shown", func() bool { return d.segsShown() >= count })
	d.interrupt()
	sum := d.end()
	names, err := filepath.Glob(filepath.Join(dir, "b0_0*.pcapng"))
	if err != nil || len(names) < 4 || sum.dropped != 0 {
		t.Fatalf("files %v, %v; %+v", names, err, sum)
	}
	var got [][]byte
	lines := 0
	for _, name := range names { // Glob sorts
		if info, err := os.Stat(name); err != nil || info.Size() > 1e6 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
		got = append(got, fileBytes(t, name)...)
		text, err := exec.Command("tcpdump", "-n", "-r", name).Output()
		if err != nil {
			t.Error(err)
		}
		lines += bytes.Count(text, []byte("\n"))
	}
	if lines != len(got) || lines != sum.shown {
		t.Errorf("tcpdump shows %d packets, %d in the files, %d shown", lines, len(got), sum.shown)
	}
	got = slices.DeleteFunc(got, func(b []byte) bool { return len(b) != len(sent[0]) })
	if !slices.EqualFunc(got, sent, bytes.Equal) {
		t.Errorf("%d packets sent, %d in the files, not the same", count, len(got))
	}
}

func TestAReplayRotatesByThePacketsTimeAndKeepsTheNewestFiles(t *testing.T) {
	dir := t.TempDir()
	in := captureFile(t, stream(udp4(), 100, 100, 100*time.Millisecond)...)
	_, stderr := replayFile(t, in, "-w", filepath.Join(dir, "x.pcapng"), "--rotate-every", "2s", "--files", "3")
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(names) != 3 || !strings.Contains(names[0], "x_00003_") || !strings.Contains(stderr, "100 written") {
		t.Fatalf("files %v, %q", names, stderr)
	}
	for _, name := range names {
		if got := len(fileBytes(t, name)); got != 20 {
			t.Errorf("%s has %d packets", name, got)
		}
	}
}
