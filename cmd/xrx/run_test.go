package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/stats"
)

// traffic returns n UDP frames from a0 to b0 of as many flows as there are ports.
func traffic(n *testnet.Net, count, ports int) [][]byte {
	list := make([][]byte, count)
	for i := range list {
		f := frames.UDP(netip.AddrPortFrom(n.A.IP4, uint16(1024+i%ports)), netip.AddrPortFrom(n.B.IP4, 9), make([]byte, 100))
		f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
		list[i] = f.Append(nil)
	}
	return list
}

// result is what a finished command left.
type result struct {
	code           int
	stdout, stderr string
}

// transcript is where a running command writes to, to be read while it runs.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await polls what has been written until it is as wanted.
func (o *transcript) await(t *testing.T, what string, ok func(string) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(o.String()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s; written: %q", what, o.String())
		}
	}
}

func hasLine(s string) bool { return strings.Contains(s, "\n") }

// runIn starts xrx run on b0 in its namespace, and returns where the result will be and what it has written so far.
// cancel is the Ctrl-C.
func runIn(t *testing.T, n *testnet.Net, args ...string) (done <-chan result, stdout *transcript, cancel context.CancelFunc) {
	t.Helper()
	return runWith(t, n, new(transcript), args...)
}

// runWith is runIn with a stderr that can be read while it runs.
func runWith(t *testing.T, n *testnet.Net, complaint *transcript, args ...string) (done <-chan result, stdout *transcript, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := make(chan result, 1)
	stdout = new(transcript)
	go func() {
		var r result
		err := n.B.Do(func() error {
			r.code = execute(ctx, env{stdout: stdout, stderr: complaint}, append([]string{"run", n.B.Iface}, args...))
			return nil
		})
		if r.stdout, r.stderr = stdout.String(), complaint.String(); err != nil {
			r.stderr += err.Error()
		}
		c <- r
	}()
	t.Cleanup(cancel)
	return c, stdout, cancel
}

// feed sends frames, few at a time, until the command has ended.
func feed(t *testing.T, n *testnet.Net, done <-chan result) result {
	t.Helper()
	s, list := n.Sender(), traffic(n, 8, 4)
	for deadline := time.After(10 * time.Second); ; {
		select {
		case r := <-done:
			return r
		case <-deadline:
			t.Fatal("xrx run goes on for ever")
		case <-time.After(time.Millisecond):
			s.Send(list...)
		}
	}
}

func TestRunStopsByItselfAtItsCountOrDuration(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct{ name, args string }{
		{"count", "--count 20"},
		{"duration", "--duration 100ms"},
		{"whichever comes first", "--count 20 --duration 1h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			done, _, _ := runIn(t, n, append(strings.Fields(c.args), "--interval", "0", "--json")...)
			r := feed(t, n, done)
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("code %d, stderr %q", r.code, r.stderr)
			}
			lines := parse(t, r.stdout)
			if len(lines) != 1 {
				t.Fatalf("%d lines, want the summary alone", len(lines))
			}
			got := lines[0].Delivered.Segments
			if strings.Contains(c.args, "count") && got < 20 {
				t.Errorf("ended after %d packets, want 20", got)
			}
			if c.name == "duration" && lines[0].Elapsed < 0.1 {
				t.Errorf("ended after %v s, want 0.1", lines[0].Elapsed)
			}
		})
	}
}

// line is what these tests read of a JSON line.
type line struct {
	Type      string
	Iface     string
	Elapsed   float64 `json:"elapsed_s"`
	Mode      struct{ Attach, Bind, Reason string }
	Rx        struct{ Packets, Bytes uint64 }
	Delivered struct{ Packets, Segments, Bytes uint64 }
	XDP       map[string]uint64
	Events    map[string]uint64
	Ledger    map[string]int
	Latency   *stats.Latency
	Queues    []struct{ Rx struct{ Packets uint64 } }
}

func parse(t *testing.T, stdout string) (lines []line) {
	t.Helper()
	for _, text := range strings.Split(strings.TrimSuffix(stdout, "\n"), "\n") {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in line %q", err, text)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestJSONLinesAddUpToTheSummary(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 2})
	done, stdout, cancel := runIn(t, n, "--interval", "30ms", "--json")
	stdout.await(t, "a first interval", hasLine) // from here on every frame is counted by somebody
	s, list, sent := n.Sender(), traffic(n, 16, 16), uint64(0)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.Send(list...)
		sent += uint64(len(list))
	}
	// A frame is received, or it came before the queues were registered and went to the kernel.
	stdout.await(t, "every frame is in some interval", func(s string) bool {
		var n uint64
		for _, l := range parse(t, s[:strings.LastIndex(s, "\n")+1]) {
			n += l.Rx.Packets + l.XDP["no_socket"]
		}
		return n == sent
	})
	cancel()
	r := <-done
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("code %d, stderr %q", r.code, r.stderr)
	}
	lines := parse(t, r.stdout)
	last := lines[len(lines)-1]
	if last.Type != "summary" || len(lines) < 3 {
		t.Fatalf("%d lines, the last a %s: want intervals and a summary", len(lines), last.Type)
	}
	var sum, elapsed = uint64(0), 0.0
	for _, l := range lines[:len(lines)-1] {
		if l.Type != "interval" || l.Elapsed <= elapsed {
			t.Errorf("%s at %v s after one at %v s", l.Type, l.Elapsed, elapsed)
		}
		elapsed = l.Elapsed
		sum += l.Rx.Packets
	}
	if sum > last.Rx.Packets {
		t.Errorf("intervals have %d packets, the summary %d", sum, last.Rx.Packets)
	}
	if got := last.Rx.Packets + last.XDP["no_socket"]; got != sent || last.Rx.Packets == 0 {
		t.Errorf("%d frames accounted for (%d received), %d sent", got, last.Rx.Packets, sent)
	}
	if want := uint64(142) * last.Rx.Packets; last.Rx.Bytes != want || last.Delivered.Bytes != want {
		t.Errorf("%d bytes received, %d delivered, want %d", last.Rx.Bytes, last.Delivered.Bytes, want)
	}
	if q := last.Queues; len(q) != 2 || q[0].Rx.Packets+q[1].Rx.Packets != last.Rx.Packets {
		t.Errorf("queues %+v do not add up to %d", q, last.Rx.Packets)
	}
	whole := 0
	for state, frames := range last.Ledger {
		if state != "total" {
			whole += frames
		}
	}
	if last.Ledger["lost"] != 0 || whole != last.Ledger["total"] || whole != 2*4096 {
		t.Errorf("ledger %v", last.Ledger)
	}
	if last.Iface != n.B.Iface || last.Mode.Attach != "native" || last.Mode.Bind != "copy" || !strings.HasPrefix(last.Mode.Reason, "not zerocopy") {
		t.Errorf("%s, mode %+v", last.Iface, last.Mode)
	}
}

// schema is every field of a JSON line of xrx run and its type: programs rely on it. Fields may be added, here and in
// the README; none may go or change its type. A * stands for the reasons of a map.
const schema = `
cpu.ns_per_packet number
cpu.sys_s number
cpu.user_s number
delivered.bytes number
delivered.packets number
delivered.segments number
elapsed_s number
gro.in number
gro.out number
gro.reasons.* number
iface string
interval_s number
kernel.rx_dropped number
kernel.rx_fill_ring_empty_descs number
kernel.rx_invalid_descs number
kernel.rx_ring_full number
ledger.delivered number
ledger.filling number
ledger.free number
ledger.held number
ledger.lost number
ledger.received number
ledger.sending number
ledger.total number
mode.attach string
mode.bind string
mode.reason string
queues[].batch number
queues[].cpu.ns_per_packet number
queues[].cpu.sys_s number
queues[].cpu.user_s number
queues[].delivered.bytes number
queues[].delivered.packets number
queues[].delivered.segments number
queues[].fill.empty number
queues[].fill.level number
queues[].fill.posted number
queues[].fill.short number
queues[].fill.size number
queues[].gather_s number
queues[].gro.in number
queues[].gro.out number
queues[].gro.reasons.* number
queues[].kernel.rx_dropped number
queues[].kernel.rx_fill_ring_empty_descs number
queues[].kernel.rx_invalid_descs number
queues[].kernel.rx_ring_full number
queues[].ledger.delivered number
queues[].ledger.filling number
queues[].ledger.free number
queues[].ledger.held number
queues[].ledger.lost number
queues[].ledger.received number
queues[].ledger.sending number
queues[].ledger.total number
queues[].polls number
queues[].queue number
queues[].rx.bps number
queues[].rx.bytes number
queues[].rx.packets number
queues[].rx.pps number
queues[].rx_level number
queues[].sleeps number
queues[].squeezes number
queues[].tx.bytes number
queues[].tx.checksums number
queues[].tx.completed number
queues[].tx.invalid_descs number
queues[].tx.kicks number
queues[].tx.packets number
queues[].tx.tags number
queues[].wakeups number
rx.bps number
rx.bytes number
rx.packets number
rx.pps number
tx.bytes number
tx.checksums number
tx.completed number
tx.invalid_descs number
tx.kicks number
tx.packets number
tx.tags number
type string
xdp.* number
`

func TestTheFieldsOfAJSONLineArePinned(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	done, _, _ := runIn(t, n, "--count", "20", "--interval", "0", "--json")
	r := feed(t, n, done)
	var value any
	if err := json.Unmarshal([]byte(r.stdout), &value); err != nil {
		t.Fatalf("%v in %q", err, r.stdout)
	}
	got := map[string]bool{}
	flatten(got, "", value)
	want := map[string]bool{}
	for _, l := range strings.Split(strings.TrimSpace(schema), "\n") {
		want[l] = true
	}
	for _, f := range slices.Sorted(maps.Keys(want)) {
		if !got[f] {
			t.Errorf("missing: %s", f)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(got)) {
		if !want[f] {
			t.Errorf("not in the schema: %s", f)
		}
	}
	if strings.Count(r.stdout, `"drops":{}`) != 2 { // of the whole and of the queue: nothing was dropped, and the fields say so
		t.Errorf("drops are not empty objects in %s", r.stdout)
	}
}

// flatten lists the fields of a JSON value as path and type.
func flatten(into map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		byReason := slices.ContainsFunc([]string{"drops", "xdp", "reasons"}, func(s string) bool { return strings.HasSuffix(path, s) })
		for k, e := range v {
			if byReason {
				k = "*"
			}
			flatten(into, strings.TrimPrefix(path+"."+k, "."), e)
		}
	case []any:
		for _, e := range v {
			flatten(into, path+"[]", e)
		}
	case float64:
		into[path+" number"] = true
	default:
		into[fmt.Sprintf("%s %T", path, v)] = true
	}
}

func TestTextSaysTheModeAndTheSummary(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct{ mode, want string }{
		{"native", "receiving on b0, native+copy\n  not zerocopy: "},
		{"skb", "receiving on b0, skb+copy\n  not zerocopy: it needs the XDP program in native mode"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			done, _, _ := runIn(t, n, "--mode", c.mode, "--count", "20", "--interval", "10ms")
			r := feed(t, n, done)
			if r.code != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, c.want) {
				t.Fatalf("code %d, stderr %q, stdout %q: want it to begin with %q", r.code, r.stderr, r.stdout, c.want)
			}
			for _, label := range []string{"interface", "received", "delivered", "gro", "batch", "processor", "dropped", "xdp", "fill ring", "frames"} {
				if !strings.Contains(r.stdout, "\n"+label+" ") {
					t.Errorf("no line %q in\n%s", label, r.stdout)
				}
			}
			if !strings.Contains(r.stdout, "lost 0\n") {
				t.Errorf("no balanced ledger in\n%s", r.stdout)
			}
		})
	}
}

func TestASignalEndsTheProcessInOrderWithTheSummaryAndCode0(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			cmd := command("run", n.B.Iface, "--interval", "20ms", "--json")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var complaint strings.Builder
			cmd.Stderr = &complaint
			n.InB(func() {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			})
			watchdog := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
			defer watchdog.Stop()
			lines := bufio.NewReader(out)
			first, err := lines.ReadString('\n') // it is running
			if err != nil || !strings.Contains(first, `"interval"`) {
				t.Errorf("%v, first line %q", err, first)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(lines)
			if err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil || complaint.Len() > 0 {
				t.Errorf("ended with %v, stderr %q: want code 0 and nothing", err, complaint.String())
			}
			all := parse(t, first+string(rest))
			if last := all[len(all)-1]; last.Type != "summary" || last.Ledger["lost"] != 0 {
				t.Errorf("last line %+v: want a balanced summary", last)
			}
			l, err := n.B.Link()
			if err != nil {
				t.Fatal(err)
			}
			if x := l.Attrs().Xdp; x != nil && x.Attached {
				t.Errorf("an XDP program is left: %+v", x)
			}
		})
	}
}

func TestQueuesThatAreNotBoundAreWarnedAbout(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 4})
	for _, c := range []struct {
		queues, warning string
		bound           int
	}{
		{"2", "2 of 4 rx queues are not bound", 2},
		{"1,3", "2 of 4 rx queues are not bound", 2},
		{"all", "", 4},
	} {
		done, _, _ := runIn(t, n, "--queues", c.queues, "--duration", "50ms", "--interval", "0", "--json")
		r := <-done
		if r.code != 0 {
			t.Fatalf("--queues %s: code %d, %s", c.queues, r.code, r.stderr)
		}
		if c.warning == "" && r.stderr != "" {
			t.Errorf("--queues %s: stderr %q", c.queues, r.stderr)
		}
		if c.warning != "" {
			wantLine(t, r.stderr, "warning", c.warning)
		}
		if q := parse(t, r.stdout)[0].Queues; len(q) != c.bound {
			t.Errorf("--queues %s: %d queues bound, want %d", c.queues, len(q), c.bound)
		}
	}
	done, _, _ := runIn(t, n, "--queues", "5", "--duration", "50ms")
	r := <-done
	if r.code != 1 || r.stdout != "" {
		t.Errorf("--queues 5 of 4: code %d, stdout %q", r.code, r.stdout)
	}
	wantLine(t, r.stderr, "rx queues 0 to 3", "ethtool -l b0")
}

func TestTheWayOutOfTheMachineIsNotTakenUnlessToldTo(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	if err := n.B.DefaultRoute(n.A.IP4); err != nil {
		t.Fatal(err)
	}
	done, _, _ := runIn(t, n, "--duration", "50ms")
	r := <-done
	if r.code != 1 || r.stdout != "" {
		t.Errorf("code %d, stdout %q: want a refusal", r.code, r.stdout)
	}
	wantLine(t, r.stderr, "b0", "default route", "--take-all")
	done, _, _ = runIn(t, n, "--duration", "50ms", "--take-all")
	if r := <-done; r.code != 0 || !strings.Contains(r.stdout, "receiving on b0") {
		t.Errorf("with --take-all: code %d, stdout %q, stderr %q", r.code, r.stdout, r.stderr)
	}
}

func TestAModeThatTheDriverDoesNotHaveIsRefusedInWords(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	done, _, _ := runIn(t, n, "--bind", "zerocopy", "--duration", "50ms")
	r := <-done
	if r.code != 1 || r.stdout != "" {
		t.Errorf("code %d, stdout %q: want a refusal", r.code, r.stdout)
	}
	wantLine(t, r.stderr, "no AF_XDP zero-copy", "--bind copy")
}

func TestAnInterfaceThatIsDeletedEndsTheRunWithCode1AndTheSummary(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	done, stdout, _ := runIn(t, n, "--interval", "20ms", "--json")
	stdout.await(t, "a first interval", hasLine)
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-done:
		if r.code != 1 {
			t.Errorf("code %d, want 1", r.code)
		}
		before, complaint, _ := strings.Cut(r.stderr, "waiting until it is up\n") // it goes down first, which may be seen
		if complaint == "" {
			complaint = before
		}
		wantLine(t, complaint, "deleted", n.B.Iface)
		all := parse(t, r.stdout)
		if last := all[len(all)-1]; last.Type != "summary" || last.Ledger["lost"] != 0 {
			t.Errorf("last line %+v: want a balanced summary", last)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the run goes on although its interface has gone")
	}
}

func TestRunSaysOnceThatFramesAreCut(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	done, stdout, stderr, cancel := runTold(t, n, "--interval", "20ms", "--json")
	stdout.await(t, "it receives", hasLine)
	f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 7), netip.AddrPortFrom(n.B.IP4, 9), make([]byte, 1400))
	f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
	frame, s := f.Append(nil), n.Sender()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(stderr.String(), "truncated"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was said of frames that are cut: %q", stderr.String())
		}
		s.Send(frame[:1024], frame)
	}
	s.Send(frame[:1024])
	cancel()
	r := <-done
	if r.code != 0 || strings.Count(r.stderr, "xrx: warning: b0: ") != 1 || !strings.Contains(r.stderr, "shorter than their IP length says, the last had 1024 bytes") {
		t.Errorf("code %d, said %q", r.code, r.stderr)
	}
	all := parse(t, r.stdout)
	last := all[len(all)-1]
	if cut := last.XDP["truncated"]; cut == 0 || cut > last.XDP["redirected"] || last.Events["frames_truncated"] != 1 || last.Ledger["lost"] != 0 {
		t.Errorf("summary %+v", last)
	}
}
