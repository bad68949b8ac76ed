package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"xrx/internal/testnet"
)

func TestSteerAskedWronglyEndsWithCode2(t *testing.T) {
	for _, c := range [][]string{
		{"one interface", "steer"},
		{"--undo goes alone", "steer", "lo", "--undo", "--channels", "2"},
		{"--force is for --undo", "steer", "lo", "--force"},
		{"--channels \"x\"", "steer", "lo", "--channels", "x"},
		{"--channels \"rx=1,rx=2\"", "steer", "lo", "--channels", "rx=1,rx=2"},
		{"want queue, drop", "steer", "lo", "--rule", "tcp port 5 queue 1"},
		{"--flow-hash \"tcp=sd\"", "steer", "lo", "--flow-hash", "tcp=sd"},
		{"want letters of", "steer", "lo", "--flow-hash", "tcp4=xyz"},
		{"hexadecimal", "steer", "lo", "--rss-key", "zz"},
		{"--delete-rule", "steer", "lo", "--delete-rule", "one"},
	} {
		code, stdout, stderr := runCommand(context.Background(), c[1:]...)
		if code != 2 || stdout != "" {
			t.Errorf("xrx %q: code %d, stdout %q: want 2 and nothing", c[1:], code, stdout)
		}
		wantLine(t, stderr, c[0])
	}
	code, stdout, stderr := runCommand(context.Background(), "steer", "nosuch0")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, %q", code, stdout)
	}
	wantLine(t, stderr, `no interface "nosuch0" here`)
}

func TestSteerSetsTheChannelsOfAVethAndUndoesIt(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	testnet.NoLeaks(t)
	n, dir := testnet.New(t, testnet.Options{Queues: 4}), t.TempDir()
	before := look(t, n)
	steer := func(args ...string) (code int, stdout, stderr string) {
		return inB(t, n, append([]string{"steer", "b0", "--state-dir", dir}, args...)...)
	}
	show := func() (r steeringReport) {
		t.Helper()
		code, stdout, stderr := steer("--json")
		if code != 0 || stderr != "" {
			t.Fatalf("code %d, %q", code, stderr)
		}
		d := json.NewDecoder(strings.NewReader(stdout))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%v: %s", err, stdout)
		}
		return r
	}
	if r := show(); r.Channels == nil || r.Channels.Rx != 4 || r.RSS != nil || r.Undo != nil || !strings.Contains(r.Refused["rules"], "operation not supported: the driver has no such setting") || !strings.Contains(r.Refused["rss-table"], "operation not supported") {
		t.Errorf("at first: %+v, channels %+v", r, r.Channels)
	}
	code, out, stderr := steer("--channels", "2")
	if code != 0 || !strings.Contains(stderr, "set: channels rx 2 tx 4 other 0 combined 0 (was rx 4 tx 4 other 0 combined 0)") || !strings.Contains(out, "channels    rx 2 of 4, tx 4 of 4") || !strings.Contains(out, "rules       not to be had") {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	if code, _, stderr = steer("--channels", "rx=3,tx=1"); code != 0 {
		t.Errorf("again: code %d, %q", code, stderr)
	}
	if r := show(); r.Channels.Rx != 3 || r.Channels.Tx != 1 || len(r.Undo) != 2 {
		t.Errorf("changed twice: %+v, channels %+v", r, r.Channels)
	}
	// All or nothing: what a veth has is not done where what it has not got is asked for as well.
	for _, c := range []struct{ flag, value, want string }{
		{"--channels", "9", "invalid argument: requested channel count exceeds maximum"},
		{"--rss-function", "xor", "rss-function: operation not supported: the driver has no such setting"},
		{"--rss-key", "00ff", "rss-key: operation not supported"},
		{"--rss", "equal=2", "operation not supported"},
		{"--rss", "default", "operation not supported"},
		{"--rule", "tcp dst-port 443 queue 0", "flow rules: operation not supported"},
		{"--delete-rule", "3", "rule 3: operation not supported"},
		{"--flow-hash", "tcp4=sdfn", "flow-hash tcp4: operation not supported"},
	} {
		args := []string{c.flag, c.value}
		if c.flag != "--channels" {
			args = append(args, "--channels", "1")
		}
		code, out, stderr := steer(args...)
		if code != 1 || out != "" {
			t.Errorf("%s: code %d, %q", args, code, out)
		}
		wantLine(t, stderr, c.want)
		if r := show(); r.Channels.Rx != 3 || r.Channels.Tx != 1 || len(r.Undo) != 2 {
			t.Errorf("%s: half done: %+v, channels %+v", args, r, r.Channels)
		}
	}
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "2") // somebody
	code, _, stderr = steer("--undo")
	if code != 1 {
		t.Errorf("somebody's channels undone: code %d", code)
	}
	wantLine(t, stderr, "channels is rx 2 tx 1 other 0 combined 0 now, not the rx 3 tx 1", "--force")
	if code, out, stderr := steer("--undo", "--force"); code != 0 || !strings.Contains(out, "channels is rx 4 tx 4 other 0 combined 0 again") {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	testnet.SameState(t, before, look(t, n))
	if code, out, _ := steer("--undo"); code != 0 || !strings.Contains(out, "nothing to undo") {
		t.Errorf("code %d, %q", code, out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
