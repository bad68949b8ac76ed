package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"xrx/internal/netdev"
	"xrx/internal/privilege"
	"xrx/internal/testnet"
	"xrx/stats"
)

// asUser has a child process become the ordinary user with this number, without any capability and for good, before it
// is xrx; lockedMemory is its limit then, in bytes.
const (
	asUser       = "XRX_TEST_AS_USER"
	lockedMemory = "XRX_TEST_LOCKED_MEMORY"
)

func becomeOrdinary() {
	uid, err := strconv.Atoi(os.Getenv(asUser))
	if err == nil {
		err = privilege.User{Name: os.Getenv(asUser), UID: uid, GID: uid}.Become()
	}
	if bytes, e := strconv.ParseUint(os.Getenv(lockedMemory), 10, 64); e == nil && err == nil {
		err = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: bytes, Max: bytes})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// process is xrx in a process of its own in b0's namespace.
type process struct {
	*exec.Cmd
	out, complaint transcript
}

// start starts it; it is killed when the test ends.
func start(t *testing.T, n *testnet.Net, environment []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: command(args...)}
	p.Env = append(p.Env, environment...)
	p.Stdout, p.Stderr = &p.out, &p.complaint
	n.InB(func() {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	return p
}

// end waits for the process, which was told to end or ends by itself.
func (p *process) end(t *testing.T, code int, words ...string) {
	t.Helper()
	done := make(chan struct{})
	go func() { p.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("it goes on: %q %q", p.out.String(), p.complaint.String())
	}
	if got := p.ProcessState.ExitCode(); got != code {
		t.Errorf("code %d, want %d: %q %q", got, code, p.out.String(), p.complaint.String())
	}
	for _, w := range words {
		if !strings.Contains(p.complaint.String(), w) {
			t.Errorf("stderr %q: want %q in it", p.complaint.String(), w)
		}
	}
}

// helping starts a helper for b0 that serves someone, and waits until it listens.
func helping(t *testing.T, n *testnet.Net, socket string, args ...string) *process {
	t.Helper()
	h := start(t, n, nil, append([]string{"helper", n.B.Iface, "--socket", socket, "--allow-user", someone + ":" + someone}, args...)...)
	h.out.await(t, "it listens", func(s string) bool { return strings.Contains(s, "helping at") })
	return h
}

// someone is a user whom nobody else on this machine is: locked memory is counted by user. Wrong is another one.
var (
	someone  = strconv.Itoa(1_000_000 + os.Getpid())
	wrong    = "61234"
	ordinary = []string{asUser + "=" + someone}
)

func attached(t *testing.T, n *testnet.Net) bool {
	t.Helper()
	l, err := n.B.Link()
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached
}

func eventuallyDetached(t *testing.T, n *testnet.Net) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); attached(t, n); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the XDP program is still there")
		}
	}
}

// socketIn is a path that everybody can reach.
func socketIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xrx-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "helper.sock")
}

var receives = regexp.MustCompile(`[1-9][0-9.]* k?pps`)

// receiving sends until the process says that it received.
func (p *process) receiving(t *testing.T, n *testnet.Net) {
	t.Helper()
	s, list := n.Sender(), traffic(n, 8, 4)
	for deadline := time.Now().Add(20 * time.Second); !receives.MatchString(p.out.String()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || strings.Contains(p.complaint.String(), "helper:") {
			t.Fatalf("nothing is received: %q %q", p.out.String(), p.complaint.String())
		}
		s.Send(list...)
	}
}

func TestWhoeverIsKilledNothingIsLeftAndTheNextIsServed(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 2})
	socket := socketIn(t)
	h := helping(t, n, socket)
	args := []string{"run", n.B.Iface, "--helper", socket, "--frames", "512", "--shared-umem", "--interval", "20ms"}

	first := start(t, n, ordinary, args...)
	first.receiving(t, n)
	for key, want := range map[string]string{"Uid": strings.Join([]string{someone, someone, someone, someone}, " "), "CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1"} {
		if got := threads(t, first.Process.Pid, key); !only(got, want) {
			t.Errorf("%s of the threads: %v, want %s", key, got, want)
		}
	}
	// A second one is told who has the interface.
	start(t, n, ordinary, args...).end(t, 1, fmt.Sprintf("%s is given to process %d of user %s already", n.B.Iface, first.Process.Pid, someone))
	first.Process.Kill()
	eventuallyDetached(t, n)

	second := start(t, n, ordinary, args...)
	second.receiving(t, n)
	h.Process.Kill() // no time for anything: the kernel closes its link
	second.end(t, 1, "the helper has gone, and the XDP program with it: start it again (xrx helper)")
	if s := second.out.String(); !strings.Contains(s, "lost 0") {
		t.Errorf("its summary: %q", s)
	}
	eventuallyDetached(t, n)
	start(t, n, ordinary, args...).end(t, 1, "no helper at "+socket, "start one as root")

	again := helping(t, n, socket) // in place of the socket that the killed one left
	third := start(t, n, ordinary, args...)
	third.receiving(t, n)
	third.Process.Signal(syscall.SIGTERM)
	third.end(t, 0)
	if s := third.out.String(); !strings.Contains(s, "lost 0") {
		t.Errorf("its summary: %q", s)
	}
	eventuallyDetached(t, n)
	again.Process.Signal(syscall.SIGTERM)
	again.end(t, 0, "has "+n.B.Iface+", queues 0, 1, native", n.B.Iface+" is free again")
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestAHelperRefusesInWordsWhatItDoesNotGive(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 2})
	socket := socketIn(t)
	h := helping(t, n, socket, "--queues", "0-0")
	for _, c := range []struct {
		name  string
		env   []string
		iface string
		args  string
		want  string
	}{
		{"another user", []string{asUser + "=" + wrong}, n.B.Iface, "--queues 0-0", "this helper serves user id " + someone + ", not " + wrong},
		{"root, which was not named", nil, n.B.Iface, "--queues 0-0", "this helper serves user id " + someone + ", not 0"},
		{"another interface", ordinary, "lo", "--queues 0-0", `interface "lo" is not this helper's to give: it has ` + n.B.Iface},
		{"another queue", ordinary, n.B.Iface, "--queues 1-1", "queue 1 of " + n.B.Iface + " is not this helper's to give: it has 0"},
		{"all queues", ordinary, n.B.Iface, "", "queue 1 of " + n.B.Iface + " is not this helper's to give: it has 0"},
		{"too little memory", ordinary, n.B.Iface, "--queues 0-0 --frames 262144", "have the helper raise the limit (xrx helper --memlock)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"run", c.iface, "--helper", socket, "--duration", "20s"}, strings.Fields(c.args)...)
			p := start(t, n, c.env, args...)
			p.end(t, 1, c.want)
			wantLine(t, p.complaint.String(), c.want)
			if attached(t, n) {
				eventuallyDetached(t, n)
			}
		})
	}
	if !strings.Contains(h.complaint.String(), "refused: this helper serves user id "+someone+", not "+wrong) {
		t.Errorf("the helper says %q", h.complaint.String())
	}
}

// A UMEM counts against the locked-memory limit: what the error says to do, and that --memlock does it, or says what that
// takes.
func TestLockedMemoryOfAReceiverIsRaisedByItsHelper(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	limited := append([]string{lockedMemory + "=65536"}, ordinary...)
	helped := func(memlock string) (h, p *process) {
		socket := socketIn(t)
		h = helping(t, n, socket, "--memlock", memlock)
		return h, start(t, n, limited, "run", n.B.Iface, "--helper", socket, "--frames", "512", "--interval", "20ms")
	}
	h, p := helped("0")
	p.end(t, 1, "with this UMEM's 1 MiB, those of this user are above the locked-memory limit: raise it (ulimit -l), have CAP_IPC_LOCK, or use fewer frames (--frames); or have the helper raise the limit (xrx helper --memlock)")
	h.Process.Signal(syscall.SIGTERM)
	h.end(t, 0)

	h, p = helped("8")
	if can, err := cap.GetProc().GetFlag(cap.Effective, cap.SYS_RESOURCE); err == nil && can {
		p.receiving(t, n)
		p.Process.Signal(syscall.SIGTERM)
		p.end(t, 0)
	} else {
		p.end(t, 1, "the helper has no CAP_SYS_RESOURCE: leave out --memlock, and raise the limit where the receiver is started (ulimit -l)")
	}
	h.Process.Signal(syscall.SIGTERM)
	h.end(t, 0)
}

// GRO, the counters of the XDP program, and an expression that is replaced while running, within the helper's.
func TestAnUnprivilegedRunMergesCountsAndChangesItsExpression(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	socket := socketIn(t)
	helping(t, n, socket, "--match", "not port 1024")
	file := filepath.Join(filepath.Dir(socket), "match")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("udp port 1025 or tcp")
	p := start(t, n, ordinary, "run", n.B.Iface, "--helper", socket, "--json", "--interval", "20ms", "--match-file", file, "--busy-poll-usecs", "20")
	s, udp := n.Sender(), traffic(n, 8, 4) // from ports 1024 to 1027
	last := func() (r stats.Report) {
		text := p.out.String()
		text = text[:strings.LastIndexByte(text, '\n')+1]
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if text != "" {
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	for deadline := time.Now().Add(20 * time.Second); last().Rx.Packets == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is received: %q", p.complaint.String())
		}
		s.Send(udp...)
	}
	write("udp or tcp")
	p.Process.Signal(syscall.SIGHUP)
	p.complaint.await(t, "the new expression, with the helper's", func(s string) bool {
		return strings.Contains(s, "xrx: match: not port 1024 and (udp or tcp)\n")
	})
	write("udp port") // wrong: the old one stays
	p.Process.Signal(syscall.SIGHUP)
	p.complaint.await(t, "the complaint", func(s string) bool { return strings.Contains(s, "the old expression stays") })
	gen := command("gen", n.A.Iface, "--proto", "tcp", "--flows", "1", "--burst", "16", "--size", "1000", "--count", "10000", "--rate", "50000")
	n.InA(func() {
		if out, err := gen.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	p.Process.Signal(syscall.SIGTERM)
	p.end(t, 0, "busy polling without the driver's help: xsk: SO_PREFER_BUSY_POLL: operation not permitted: asking the driver to be polled takes CAP_NET_ADMIN")
	r := last()
	t.Logf("gro %+v, xdp %v, %v", r.GRO, r.XDP, r.Ledger)
	if r.Type != "summary" || r.Ledger.Lost != 0 || r.Ledger.Free+r.Ledger.Filling != r.Ledger.Total {
		t.Errorf("%s: ledger %+v", r.Type, r.Ledger)
	}
	if r.XDP["redirected"] < 10_000 || r.XDP["not_matched"] == 0 {
		t.Errorf("the program's counters: %v", r.XDP)
	}
	if r.GRO.In < 10_000 || r.GRO.Out > r.GRO.In/2 {
		t.Errorf("gro %+v: want most of 10000 segments merged", r.GRO)
	}
}

// What happens to the interface is mended by the helper: a program that is taken off, an interface that goes and comes back.
func TestAnUnprivilegedRunSurvivesWhatHappensToTheInterface(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	socket := socketIn(t)
	h := helping(t, n, socket)
	p := start(t, n, ordinary, "run", n.B.Iface, "--helper", socket, "--wait", "--frames", "512", "--interval", "20ms")
	p.receiving(t, n)
	n.InB(func() {
		there, err := netdev.XDPPrograms(n.B.Index)
		if err != nil || len(there) != 1 || !there[0].ByLink {
			t.Fatalf("%+v, %v", there, err)
		}
		l, err := link.NewFromID(link.ID(there[0].LinkID))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Detach(); err != nil {
			t.Fatal(err)
		}
	})
	p.complaint.await(t, "it is put back", func(s string) bool { return strings.Contains(s, "somebody detached the XDP program; it is back") })
	if !attached(t, n) {
		t.Error("there is no program")
	}
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	n.Recreate()
	p.complaint.await(t, "it is open again", func(s string) bool { return strings.Count(s, "open, native+copy") == 2 })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t, 0)
	if s := p.out.String(); !strings.Contains(s, "lost 0") {
		t.Errorf("its summary: %q", s)
	}
	h.Process.Signal(syscall.SIGTERM)
	h.end(t, 0)
	if said := h.complaint.String(); strings.Count(said, "is free again") != 2 {
		t.Errorf("the helper says %q", said)
	}
}
