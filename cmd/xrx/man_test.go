package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages writes the manual into a folder and reads it: text by name of the file.
func pages(t *testing.T, epoch string) (dir string, text map[string]string) {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", epoch)
	dir = filepath.Join(t.TempDir(), "man1")
	if code, stdout, stderr := runCommand(context.Background(), "man", dir); code != 0 || stdout+stderr != "" {
		t.Fatalf("xrx man: code %d, %q %q", code, stdout, stderr)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	text = map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text[f.Name()] = string(b)
	}
	return dir, text
}

func TestEveryCommandAndEveryFlagHasItsPlaceInTheManual(t *testing.T) {
	_, text := pages(t, "1700000000")
	root := newRoot(env{})
	root.InitDefaultCompletionCmd()
	seen := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		page, ok := text[name]
		if !ok {
			t.Errorf("no page %s", name)
			return
		}
		seen++
		if !strings.Contains(page, `"Nov 2023" "xrx" "xrx manual"`) {
			t.Errorf("%s: no date of SOURCE_DATE_EPOCH: %q", name, page[:min(len(page), 100)])
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if want := `\fB--` + f.Name + `\fP`; !f.Hidden && !strings.Contains(page, want) {
				t.Errorf("%s does not name --%s", name, f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if sub.Name() != "help" {
				walk(sub)
			}
		}
	}
	walk(root)
	if seen != len(text) {
		t.Errorf("%d pages for %d commands", len(text), seen)
	}
	if page := text["xrx-gen.1"]; !strings.Contains(page, ".EX\n  live    frames made") {
		t.Errorf("the engines of gen don't stand in lines of their own:\n%s", page[:1000])
	}
}

func TestThePagesAreTheSameEachTime(t *testing.T) {
	_, first := pages(t, "0")
	_, second := pages(t, "0")
	for name, text := range first {
		if second[name] != text {
			t.Errorf("%s differs", name)
		}
	}
}

func TestManFindsNoFaultInThePages(t *testing.T) {
	var lint func(file string) *exec.Cmd
	if _, err := exec.LookPath("mandoc"); err == nil {
		lint = func(file string) *exec.Cmd { return exec.Command("mandoc", "-Tlint", "-Wwarning", file) }
	} else if _, err := exec.LookPath("groff"); err == nil {
		lint = func(file string) *exec.Cmd {
			return exec.Command("groff", "-ww", "-man", "-Tutf8", "-Kutf8", "-z", file)
		}
	} else {
		t.Skip("needs mandoc or groff: apt-get install groff")
	}
	dir, text := pages(t, "0")
	for name := range text {
		if out, err := lint(filepath.Join(dir, name)).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	bad := filepath.Join(dir, "bad.1")
	if err := os.WriteFile(bad, []byte(".TH X 1\n.NOSUCH\n\\*[nosuch]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := lint(bad).CombinedOutput(); len(out) == 0 {
		t.Error("what checks the pages finds nothing in a page that is wrong")
	}
}

func TestTheDateOfThePagesIsNeverToday(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	at := func(s string) func(string) (string, bool) { return func(string) (string, bool) { return s, true } }
	for _, c := range []struct {
		lookup func(string) (string, bool)
		built  map[string]string
		want   string // "": refused
	}{
		{at("86400"), map[string]string{"vcs.time": "2025-03-04T05:06:07Z"}, "1970-01-02"},
		{none, map[string]string{"vcs.time": "2025-03-04T05:06:07Z"}, "2025-03-04"},
		{none, nil, "1970-01-01"},
		{at("yesterday"), nil, ""},
		{at("-1"), nil, ""},
	} {
		d, err := manDate(c.lookup, c.built)
		if got := d.Format(time.DateOnly); (err != nil) != (c.want == "") || err == nil && got != c.want {
			t.Errorf("%v: %s, %v; want %q", c.built, got, err, c.want)
		}
	}
}

func TestCompletionsAreWrittenForEveryShellAndKnowTheCommands(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, stdout, stderr := runCommand(context.Background(), "completion", shell)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "xrx") {
			t.Errorf("%s: code %d, %q, %d bytes", shell, code, stderr, len(stdout))
		}
		if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
			cmd := exec.Command(path, "-n")
			cmd.Stdin = strings.NewReader(stdout)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s does not take it: %v: %s", shell, err, out)
			}
		}
	}
	code, stdout, _ := runCommand(context.Background(), "__complete", "fo")
	if code != 0 || !strings.HasPrefix(stdout, "forward\t") {
		t.Errorf("xrx fo<TAB>: code %d, %q", code, stdout)
	}
	code, stdout, _ = runCommand(context.Background(), "__complete", "run", "--gro-pr")
	if code != 0 || !strings.HasPrefix(stdout, "--gro-profile") {
		t.Errorf("xrx run --gro-pr<TAB>: code %d, %q", code, stdout)
	}
}
