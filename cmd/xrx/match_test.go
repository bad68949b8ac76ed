package main

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"xrx/internal/testnet"
)

func TestAnExpressionThatIsWrongEndsWithCode2AndItsPlace(t *testing.T) {
	for _, c := range []struct {
		expr string
		want []string
	}{
		{"tcp prot 80", []string{`--match: at 5, "prot": want and, or, or the end`}},
		{"tcp port", []string{"--match: at 9, the end: want a port from 0 to 65535"}},
		{"net 10.0.0.1/8", []string{`at 5, "10.0.0.1/8"`, "want 10.0.0.0/8"}},
		{"udp\nand \x1b[31m", []string{`at 9, "\x1b"`}},
		{strings.Repeat("tcp or ", 600) + "udp", []string{"more than 512 terms"}},
	} {
		for _, command := range []string{"run", "dump"} {
			code, stdout, stderr := runCommand(context.Background(), command, "lo", "--match", c.expr)
			if code != 2 || stdout != "" {
				t.Errorf("%s %q: code %d, stdout %q: want 2 and nothing", command, c.expr, code, stdout)
			}
			wantLine(t, stderr, c.want...)
		}
	}
}

func TestMatchFlagsReachTheConfiguration(t *testing.T) {
	var f receiverFlags
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.register(fs)
	if err := fs.Parse([]string{"--match", " tcp port 80 or 443 ", "--keep-management"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := f.config()
	if err != nil || cfg.Match != "tcp port 80 or 443" || !cfg.KeepManagement {
		t.Errorf("%+v, %v", cfg, err)
	}
	if def := (&receiverFlags{}); def.match != "" || def.keepManagement {
		t.Error("flags are set by themselves")
	}
}

func TestRunTakesWhatMatchesAndReportsTheRest(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	done, _, _ := runIn(t, n, "--json", "--interval", "0", "--count", "50", "--match", "udp src portrange 1024-1025", "--keep-management")
	r := feed(t, n, done) // from ports 1024 to 1027
	if r.code != 0 {
		t.Fatalf("code %d, %s", r.code, r.stderr)
	}
	lines := parse(t, r.stdout)
	sum := lines[len(lines)-1]
	taken, passed := sum.XDP["redirected"], sum.XDP["not_matched"]
	matched := taken + sum.XDP["no_socket"] // before and after the queue was open
	if taken < 50 || passed < 40 || matched > passed+64 || passed > matched+64 {
		t.Errorf("%d taken, %d matched in all, %d passed: want half and half", taken, matched, passed)
	}
}

func TestTheLifelineIsTakenWithAnExpressionThatKeepsManagement(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	if err := n.B.DefaultRoute(n.A.IP4); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args    []string
		refused bool
	}{
		{[]string{"--match", "udp"}, true},
		{[]string{"--keep-management"}, true},
		{[]string{"--match", "udp", "--keep-management"}, false},
	} {
		done, _, _ := runIn(t, n, append(c.args, "--duration", "50ms")...)
		r := <-done
		if (r.code == 1) != c.refused || (r.code == 0) == c.refused {
			t.Errorf("%v: code %d, %s", c.args, r.code, r.stderr)
		}
		if c.refused {
			wantLine(t, r.stderr, "default route", "--match, --keep-management", "--take-all")
		}
	}
}

func TestReplayTakesWhatMatchesOutOfAFile(t *testing.T) {
	path := captureFile(t, append(stream(udp4(), 3, 100, 0), stream(tcp6(), 4, 100, 0)...)...)
	for expr, want := range map[string][]string{
		"":                {"udp4", "udp4", "udp4", "tcp6", "tcp6", "tcp6", "tcp6"},
		"udp":             {"udp4", "udp4", "udp4"},
		"ip6 and not udp": {"tcp6", "tcp6", "tcp6", "tcp6"},
	} {
		stdout, _ := replayFile(t, path, "--json", "--gro", "off", "--match", expr)
		var got []string
		for _, r := range dumpRows(t, stdout) {
			got = append(got, r.Proto)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("--match %q: %v, want %v", expr, got, want)
		}
	}
}
