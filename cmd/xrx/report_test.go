package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xrx/internal/testnet"
)

// someLines are two intervals and the summary of a run.
const someLines = `{"type":"interval","iface":"eth1","elapsed_s":1,"interval_s":1,"mode":{"attach":"native","bind":"copy"},"rx":{"packets":1000,"bytes":60000}}
{"type":"interval","iface":"eth1","elapsed_s":2,"interval_s":1,"mode":{"attach":"native","bind":"copy"},"rx":{"packets":3000,"bytes":180000}}
{"type":"summary","iface":"eth1","elapsed_s":2,"interval_s":2,"mode":{"attach":"native","bind":"copy"},"rx":{"packets":4000,"bytes":240000}}
`

// inFile writes text into a file of its own and returns its path.
func inFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReportMakesAPageWhereItIsTold(t *testing.T) {
	for _, c := range []struct{ name, output, page string }{
		{"beside its lines", "", "run.html"},
		{"elsewhere", "report.html", "report.html"},
		{"to standard output", "-", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := inFile(t, someLines)
			dir := filepath.Dir(in)
			args := []string{"report", in}
			if c.output == "-" {
				args = append(args, "-o", "-")
			} else if c.output != "" {
				args = append(args, "--output", filepath.Join(dir, c.output))
			}
			code, stdout, stderr := runCommand(context.Background(), args...)
			if code != 0 || stderr != "" {
				t.Fatalf("code %d, stderr %q", code, stderr)
			}
			page := stdout
			if c.page != "" {
				text, err := os.ReadFile(filepath.Join(dir, c.page))
				if err != nil {
					t.Fatal(err)
				}
				if want := filepath.Join(dir, c.page) + ": 2 intervals of eth1\n"; stdout != want {
					t.Errorf("stdout %q, want %q", stdout, want)
				}
				page = string(text)
			}
			if !strings.HasPrefix(page, "<!DOCTYPE html>") || !strings.Contains(page, "4,000 packets") || !strings.Contains(page, `<svg class="chart" id="packets"`) {
				t.Errorf("not the page of that run: %.300s", page)
			}
		})
	}
}

func TestReportComplainsInOneLineAndWritesNothing(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       int
		want       []string
	}{
		{"a line that is none", someLines[:strings.Index(someLines, "\n")+1] + "oops\n" + someLines, 1, []string{"run.jsonl: line 2: not JSON"}},
		{"an empty file", "", 1, []string{"run.jsonl", "no report in it"}},
		{"two runs", someLines + someLines, 1, []string{"run.jsonl: line 4", "another run begins here"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := inFile(t, c.text)
			code, stdout, stderr := runCommand(context.Background(), "report", in)
			if code != c.code || stdout != "" {
				t.Errorf("code %d, stdout %q", code, stdout)
			}
			wantLine(t, stderr, c.want...)
			if _, err := os.Stat(strings.TrimSuffix(in, ".jsonl") + ".html"); !os.IsNotExist(err) {
				t.Errorf("a page all the same: %v", err)
			}
		})
	}
	in := inFile(t, someLines)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"report"}, 2, "one file"},
		{[]string{"report", in, in}, 2, "one file"},
		{[]string{"report", in, "-o", in}, 2, "overwrite"},
		{[]string{"report", in + ".not"}, 1, "no such file"},
		{[]string{"report", filepath.Dir(in)}, 1, "is a directory"},
		{[]string{"report", in, "-o", filepath.Join(in, "x.html")}, 1, "not a directory"},
	} {
		code, stdout, stderr := runCommand(context.Background(), c.args...)
		if code != c.code || stdout != "" {
			t.Errorf("%v: code %d, stdout %q", c.args, code, stdout)
		}
		wantLine(t, stderr, c.want)
	}
	if text, err := os.ReadFile(in); err != nil || string(text) != someLines {
		t.Errorf("the input was changed: %v", err)
	}
}

func TestReportWarnsOfALastLineThatIsCutOff(t *testing.T) {
	in := inFile(t, someLines[:len(someLines)-20])
	code, stdout, stderr := runCommand(context.Background(), "report", in)
	if code != 0 || !strings.Contains(stdout, "2 intervals") {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	wantLine(t, stderr, "warning", "line 3", "cut off")
}

// What run writes, report reads.
func TestAPageIsMadeOfWhatRunReallyWrites(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 2})
	done, stdout, cancel := runIn(t, n, "--json", "--interval", "20ms")
	s, list := n.Sender(), traffic(n, 8, 4)
	stdout.await(t, "three intervals", func(text string) bool { s.Send(list...); return strings.Count(text, "\n") >= 3 })
	cancel()
	r := <-done
	if r.code != 0 {
		t.Fatalf("code %d, %s", r.code, r.stderr)
	}
	code, page, stderr := runCommand(context.Background(), "report", inFile(t, r.stdout), "-o", "-")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"native&#43;copy", "not zerocopy", `id="packets"`, `id="queues"`, `id="coalescing"`, "<code>redirected</code>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
}
