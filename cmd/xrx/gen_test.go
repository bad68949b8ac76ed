package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"xrx/internal/gen"
	"xrx/internal/testnet"
)

// runCommand runs one command line as main does.
func runCommand(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(ctx, env{stdout: &out, stderr: &errs}, args)
	return code, out.String(), errs.String()
}

func TestGenRefusesWrongFlagsInOneLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "one interface"},
		{[]string{"a", "b"}, "one interface"},
		{[]string{"lo", "--engine", "warp"}, `--engine "warp"`},
		{[]string{"lo", "--proto", "icmp"}, `--proto "icmp"`},
		{[]string{"lo", "--flows", "0"}, "--flows 0"},
		{[]string{"lo", "--flows", "1048577"}, "--flows 1048577"},
		{[]string{"lo", "--flows", "many"}, "many"},
		{[]string{"lo", "--burst", "0"}, "--burst 0"},
		{[]string{"lo", "--size", "59"}, "--size 59"},
		{[]string{"lo", "--size", "9999"}, "--size 9999"},
		{[]string{"lo", "--size", "1500-60"}, "--size"},
		{[]string{"lo", "--rate", "-1"}, "--rate"},
		{[]string{"lo", "--rate", "NaN"}, "--rate"},
		{[]string{"lo", "--rate", "5", "--engine", "live"}, "can't be paced"},
		{[]string{"lo", "--duration", "-1s"}, "--duration"},
		{[]string{"lo", "--src-mac", "1:2"}, "--src-mac"},
		{[]string{"lo", "--dst-mac", "x"}, "--dst-mac"},
		{[]string{"lo", "--src", "300.1.1.1"}, "--src"},
		{[]string{"lo", "--dst", "fe80::1%lo"}, "--dst"},
		{[]string{"lo", "--src", "10.0.0.1", "--dst", "fd00::1"}, "different IP versions"},
		{[]string{"lo", "--src", "10.0.0.1", "--ipv6"}, "different IP versions"},
		{[]string{"lo", "--vlan", "4095"}, "--vlan"},
		{[]string{"lo", "--vlan", "1,2,3"}, "--vlan"},
		{[]string{"lo", "--cpu", "x"}, "--cpu"},
		{[]string{"lo", "--no-such-flag"}, "no-such-flag"},
		{[]string{"lo"}, "--dst-mac"}, // loopback has no peer to be found
	} {
		code, stdout, stderr := runCommand(context.Background(), append([]string{"gen"}, c.args...)...)
		if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("gen %v: code %d, stdout %q, stderr %q; want code 2 and a line with %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

func TestGenSaysWhichInterfaceIsMissing(t *testing.T) {
	code, stdout, stderr := runCommand(context.Background(), "gen", "nosuch0")
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "nosuch0") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestGenWillNotFloodTheWayOut(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	if err := n.A.DefaultRoute(n.B.IP4); err != nil {
		t.Fatal(err)
	}
	n.InA(func() {
		code, stdout, stderr := runCommand(context.Background(), "gen", "a0", "--count", "1")
		if code != 1 || stdout != "" || !strings.Contains(stderr, "default route") || !strings.Contains(stderr, "--force") {
			t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
		if code, _, stderr := runCommand(context.Background(), "gen", "a0", "--count", "1", "--force"); code != 0 {
			t.Errorf("with --force: code %d, %s", code, stderr)
		}
	})
	if s, err := n.B.Stats(); err != nil || s.RxPackets != 1 {
		t.Errorf("%d frames came, %v", s.RxPackets, err)
	}
}

func TestGenFindsThePeerAndSends(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct {
		name, engine string
		args         []string
	}{
		{"auto onto a peer without XDP", gen.Packet, nil},
		{"auto at a rate", gen.Packet, []string{"--rate", "50000"}},
		{"TCP over IPv6", gen.Packet, []string{"--proto", "tcp", "--ipv6", "--size", "90,1500"}},
		{"VLANs and bursts", gen.Packet, []string{"--vlan", "7,8", "--flows", "5", "--burst", "3"}},
		{"addresses", gen.Packet, []string{"--src", "192.0.2.1", "--dst", "192.0.2.2", "--src-mac", "02:00:00:00:00:77"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			r := n.Reader(n.B)
			n.InA(func() {
				args := append([]string{"gen", "a0", "--count", "500", "--json"}, c.args...)
				code, stdout, stderr := runCommand(context.Background(), args...)
				var sum genSummary
				if err := json.Unmarshal([]byte(stdout), &sum); err != nil || code != 0 {
					t.Fatalf("code %d, stdout %q, stderr %q, %v", code, stdout, stderr, err)
				}
				if sum.Frames != 500 || sum.Engine != c.engine || sum.NotLive == "" || sum.Iface != "a0" || sum.Type != "summary" {
					t.Errorf("summary %+v", sum)
				}
			})
			var tally gen.Tally
			for range 500 {
				p, err := r.Read(2 * time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Data[:6]; !bytes.Equal(got, n.B.MAC) {
					t.Fatalf("destination MAC %x", got)
				}
				tally.Add(p.Data)
			}
			if err := tally.Err(500); err != nil {
				t.Error(err)
			}
			if p, err := r.Read(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("one more frame: %x, %v", p.Data, err)
			}
		})
	}
}

func TestGenEndsWithItsSummaryWhenInterrupted(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	if err := n.B.AttachPass(); err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{"live", "packet"} {
		n.InA(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			time.AfterFunc(200*time.Millisecond, cancel)
			code, stdout, stderr := runCommand(ctx, "gen", "a0", "--engine", engine)
			if code != 0 || !strings.Contains(stdout, "engine "+engine) || !strings.Contains(stdout, "\nsent ") || stderr != "" {
				t.Errorf("%s: code %d, stdout %q, stderr %q", engine, code, stdout, stderr)
			}
		})
	}
}

func TestGenReportsWhyAnEngineDoesNotWork(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	n.InA(func() {
		code, stdout, stderr := runCommand(context.Background(), "gen", "a0", "--engine", "live", "--count", "1")
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "XDP program") {
			t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	})
}
