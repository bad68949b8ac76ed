package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx/internal/testnet"
)

// runTold is runIn with stderr to be read while it runs.
func runTold(t *testing.T, n *testnet.Net, args ...string) (done <-chan result, stdout, stderr *transcript, cancel func()) {
	t.Helper()
	stderr = new(transcript)
	done, stdout, cancel = runWith(t, n, stderr, args...)
	return done, stdout, stderr, cancel
}

func TestRunWithWaitOutlivesItsInterface(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	done, stdout, stderr, cancel := runTold(t, n, "--wait", "--interval", "20ms", "--json")
	total := func() (sum uint64) {
		s := stdout.String()
		for _, l := range parse(t, s[:strings.LastIndex(s, "\n")+1]) {
			sum += l.Rx.Packets
		}
		return sum
	}
	stderr.await(t, "it waits", func(s string) bool { return strings.Contains(s, `xrx: b0: waiting (no interface "b0"`) })
	for round := 1; round <= 2; round++ {
		n.Recreate()
		stderr.await(t, "it is open", func(s string) bool { return strings.Count(s, "xrx: b0: open, native+copy\n") == round })
		n.InA(func() {
			l, err := netlink.LinkByName("a0")
			if err != nil {
				t.Fatal(err)
			}
			n.A.Index = l.Attrs().Index
		})
		s, before := n.Sender(), total()
		for deadline := time.Now().Add(10 * time.Second); total() < before+20; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: %d packets received, want 20 more than %d", round, total(), before)
			}
			s.Send(traffic(n, 8, 4)...)
		}
		if err := n.B.Delete(); err != nil {
			t.Fatal(err)
		}
		stderr.await(t, "it waits again", func(s string) bool { return strings.Count(s, "waiting (no") == round+1 })
	}
	cancel()
	r := <-done
	if r.code != 0 {
		t.Errorf("code %d: %s", r.code, r.stderr)
	}
	all := parse(t, r.stdout)
	if last := all[len(all)-1]; last.Type != "summary" || last.Rx.Packets < 40 || last.Ledger["lost"] != 0 || last.Mode.Attach != "native" {
		t.Errorf("summary %+v", last)
	}
}

// Both sides of an expression are counted while it is replaced again and again under load: what matches either one is
// received or passed, and nothing is lost.
func TestAHangupReadsTheMatchFileAgainAndLosesNothing(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	file := filepath.Join(t.TempDir(), "match")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("udp port 1024 # the first flow\n  or udp port 1025\n")
	done, stdout, stderr, cancel := runTold(t, n, "--match-file", file, "--interval", "20ms", "--gro", "off")
	stdout.await(t, "it runs", func(s string) bool { return strings.Count(s, "\n") >= 3 })
	if s := stdout.String(); !strings.Contains(s, "\n  match udp port 1024 or udp port 1025\n") {
		t.Errorf("the expression in force is not printed: %q", s)
	}
	stop, sent := make(chan struct{}), make(chan uint64, 1)
	sender, list := n.Sender(), traffic(n, 8, 4) // ports 1024 to 1027
	go func() {
		var count uint64
		for {
			select {
			case <-stop:
				sent <- count
				return
			default:
				sender.Send(list...)
				count += uint64(len(list))
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	hup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	for round := 1; round <= 10; round++ {
		write([]string{"udp port 1026", "udp portrange 1025-1027"}[round%2])
		hup()
		stderr.await(t, "the new expression", func(s string) bool { return strings.Count(s, "xrx: match: udp port") == round })
	}
	write("udp prt 7")
	hup()
	stderr.await(t, "a wrong one is refused", func(s string) bool {
		return strings.Contains(s, "xrx: warning: --match-file: "+file) && strings.Contains(s, "the old expression stays: udp port 1026\n")
	})
	write("# nothing\n")
	hup()
	stderr.await(t, "an empty one is refused", func(s string) bool { return strings.Contains(s, "has no expression") })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	hup()
	stderr.await(t, "a missing one is refused", func(s string) bool { return strings.Contains(s, "no such file") })
	close(stop)
	all := <-sent
	cancel()
	r := <-done
	if r.code != 0 {
		t.Fatalf("code %d: %s", r.code, r.stderr)
	}
	received, passed := countIn(t, r.stdout, "received", "packets"), countIn(t, r.stdout, "not_matched", "")
	if before := countIn(t, r.stdout, "no_socket", ""); received+passed+before != all || received == 0 || passed == 0 {
		t.Errorf("%d received + %d passed + %d before and after Run = %d, sent %d", received, passed, before, received+passed+before, all)
	}
	t.Logf("%d sent: %d received, %d passed to the kernel; 10 expressions", all, received, passed)
}

// countIn finds a number in the text report: behind the word, with its thousands apart.
func countIn(t *testing.T, text, word, unit string) (n uint64) {
	t.Helper()
	summary := text[strings.LastIndex(text, "\n\n")+1:]
	m := regexp.MustCompile(word + ` +([0-9,]+) ?` + unit).FindStringSubmatch(summary)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.ReplaceAll(m[1], ",", ""), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAMatchFileThatIsWrongIsAskedWrongly(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "match")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--match-file", "/no/such"}, "no such file"},
		{[]string{"--match-file", empty}, "has no expression"},
		{[]string{"--match-file", empty, "--match", "udp"}, "one of them"},
	} {
		var out, complaint transcript
		if code := execute(t.Context(), env{&out, &complaint}, append([]string{"run", "eth7"}, c.args...)); code != 2 || !strings.Contains(complaint.String(), c.want) {
			t.Errorf("%v: code %d, %q", c.args, code, complaint.String())
		}
	}
}

// SIGHUP and SIGUSR1 end a process that does not catch them: this one would.
func TestSignalsAreCaughtBeforeTheFirstWordIsPrinted(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	file := filepath.Join(t.TempDir(), "match")
	if err := os.WriteFile(file, []byte("udp port 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		done, stdout, stderr, cancel := runTold(t, n, "--match-file", file)
		stdout.await(t, "the first word", func(s string) bool { return s != "" })
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
		}
		stderr.await(t, "both are served", func(s string) bool {
			return strings.Contains(s, "xrx: match: udp port 7\n") && strings.Contains(s, "holder ")
		})
		cancel()
		if r := <-done; r.code != 0 {
			t.Fatalf("code %d: %s", r.code, r.stderr)
		}
	}
}
