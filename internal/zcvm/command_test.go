package zcvm_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"xrx/stats"
)

// runCommand is xrx run as a process of its own.
type runCommand struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	said  bytes.Buffer // on standard error

	arrived uint64 // at the XDP program, by the reports so far
}

// startRun starts xrx run with a zero-copy bind.
func startRun(t *testing.T, w wire, args ...string) *runCommand {
	t.Helper()
	c := &runCommand{t: t, cmd: exec.Command(command(t), append([]string{"run", w.iface.Name, "--bind", "zerocopy", "--json"}, args...)...)}
	c.cmd.Stderr = &c.said
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // it has ended unless the test failed
	c.lines = bufio.NewScanner(out)
	c.lines.Buffer(nil, 1<<20)
	return c
}

// next returns the next report.
func (c *runCommand) next() (r stats.Report) {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("xrx run has ended: %v\n%s", c.cmd.Wait(), c.said.String())
	}
	if err := json.Unmarshal(c.lines.Bytes(), &r); err != nil {
		c.t.Fatalf("%v in %q", err, c.lines.Text())
	}
	if r.Type == "interval" {
		c.arrived += r.XDP["redirected"] + r.XDP["no_socket"]
	}
	return r
}

// end interrupts the command and returns its summary.
func (c *runCommand) end() stats.Report {
	c.t.Helper()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		c.t.Fatal(err)
	}
	for {
		if r := c.next(); r.Type == "summary" {
			if err := c.cmd.Wait(); err != nil {
				c.t.Errorf("xrx run: %v\n%s", err, c.said.String())
			}
			return r
		}
	}
}

// generate runs xrx gen to its end and returns how many frames it sent.
func generate(t *testing.T, w wire, args ...string) (frames uint64, summary string) {
	t.Helper()
	cmd := exec.Command(command(t), append([]string{"gen", w.peer.Name, "--dst-mac", w.iface.HardwareAddr.String(), "--json"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xrx gen: %v\n%s", err, said.String())
	}
	var s struct{ Frames uint64 }
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return s.Frames, strings.TrimSpace(string(out))
}

// carrier reports whether both ends of the wire have a link.
func carrier(w wire) bool {
	for _, name := range []string{w.iface.Name, w.peer.Name} {
		if b, err := os.ReadFile("/sys/class/net/" + name + "/carrier"); err != nil || strings.TrimSpace(string(b)) != "1" {
			return false
		}
	}
	return true
}

// The commands as a user has them: xrx run on one interface, xrx gen on the other.
func TestTheCommandsReceiveAndMergeWhatTheySend(t *testing.T) {
	w := zeroCopyWire(t)
	for name, c := range map[string]struct {
		run, gen []string
		merges   bool
	}{
		"TCP, merged":  {[]string{"--gro", "on", "--gro-flush", "10ms"}, []string{"--proto", "tcp", "--flows", "4", "--burst", "16", "--size", "1514"}, true},
		"UDP, GRO off": {[]string{"--gro", "off"}, []string{"--proto", "udp", "--flows", "64", "--size", "60-1514"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			const count = 4000 // fewer than a ring of xrx holds, and so slow that the card's own ring outlasts a guest that stands still
			r := startRun(t, w, append(c.run, "--interval", "50ms", "--frames", "16384", "--ring", "8192")...)
			r.next() // it has started
			for end := time.Now().Add(patience); !carrier(w) && time.Now().Before(end); {
				r.next() // attaching and binding may have taken the link down for a moment
			}
			sent, what := generate(t, w, append(c.gen, "--engine", "packet", "--rate", "2000", "--count", strconv.Itoa(count))...)
			for end := time.Now().Add(patience); r.arrived < sent && time.Now().Before(end); {
				r.next()
			}
			s := r.end()
			t.Logf("%s\nreceived %d packets, delivered %d with %d segments, %s", what, s.Rx.Packets, s.Delivered.Packets, s.Delivered.Segments, s.Ledger)
			switch {
			case s.Mode.Bind != "zerocopy" || s.Mode.Attach != "native" || s.Mode.Reason != "":
				t.Errorf("mode %+v", s.Mode)
			case sent != count || s.Rx.Packets+s.XDP["no_socket"] != sent || s.Delivered.Segments != s.Rx.Packets || s.Rx.Packets < count*9/10:
				t.Errorf("%d sent, XDP %v, %d received, %d delivered", sent, s.XDP, s.Rx.Packets, s.Delivered.Segments)
			case s.Ledger.Lost != 0 || len(s.Drops) != 0 || s.Kernel.Lost() != 0:
				t.Errorf("drops %v, kernel %+v, %s", s.Drops, s.Kernel, s.Ledger)
			case c.merges != (s.Delivered.Packets < s.Delivered.Segments/2):
				t.Errorf("%d segments in %d packets; GRO %+v", s.Delivered.Segments, s.Delivered.Packets, s.GRO)
			}
		})
	}
}
