package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"xrx/internal/testnet"
)

// asCommand makes the test binary behave as xrx itself: for what only a process of its own can show.
const asCommand = "XRX_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asUser) != "" {
		becomeOrdinary()
	}
	if os.Getenv(asCommand) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// command returns xrx as a child process.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// wantLine checks the form of a complaint: one line, of xrx, with these words.
func wantLine(t *testing.T, stderr string, words ...string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "xrx: ") || strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("stderr %q: want one line that begins with xrx:", stderr)
	}
	if strings.Contains(stderr, "xrx: xrx:") {
		t.Errorf("stderr %q says xrx twice", stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("stderr %q: want %q in it", stderr, w)
		}
	}
}

func TestACommandLineThatCannotBeMeantEndsWithCode2AndOneLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"nosuch", `unknown command "nosuch"`},
		{"rnu", `unknown command "rnu"`}, // close to one that exists: still one line
		{"--nosuch", "--nosuch"},
		{"version extra", `"extra"`},
		{"demo extra", `"extra"`},
		{"run", "one interface"},
		{"run lo eth1", "one interface"},
		{"forward lo", "two interfaces"},
		{"forward lo lo", "--swap-mac"},
		{"forward lo eth1 --interval -1s", "--interval"},
		{"run lo --nosuch", "--nosuch"},
		{"run lo --count -1", "--count"},
		{"run lo --count many", "--count"},
		{"run lo --duration -1s", "--duration"},
		{"run lo --duration 5", "--duration"},
		{"run lo --interval -1s", "--interval"},
		{"run lo --queues 0", "--queues"},
		{"run lo --queues x", "--queues"},
		{"run lo --queues 3-1", "--queues"},
		{"run lo --queues 1,,2", "--queues"},
		{"run lo --frames 1", "--frames 1"},
		{"run lo --frames -1", "--frames -1"},
		{"run lo --chunk 1000", "--chunk 1000"},
		{"run lo --chunk 3000", "--unaligned for other sizes"},
		{"run lo --unaligned --chunk 1000", "at least 2048"},
		{"run lo --unaligned --chunk 70000", "2048 to 65472"},
		{"run lo --headroom 100", "a multiple of 64"},
		{"run lo --sg some", "want auto, on or off"},
		{"run lo --threads -1", "want at least 1"},
		{"run lo --workers 1000", "1000 workers: want 1 to 256"},
		{"run lo --workers 2 --backlog 3", "want a power of two"},
		{"run lo --quota 5000", "leaves nothing of 4096 for the fill ring"},
		{"run lo --backlog 64", "--workers"},
		{"dump lo --workers 2", "--workers"},
		{"run lo --gro-flows -5", "--gro-flows -5"},
		{"run lo --ring 3", "powers of two"},
		{"run lo --mode fast", `--mode "fast"`},
		{"run lo --bind magic", `--bind "magic"`},
		{"run lo --bind zerocopy --mode skb", "native mode"},
		{"run lo --gather 1s", "1s"},
		{"run lo --no-meta --hw-meta", "--no-meta"},
		{"run lo --no-meta --symmetric", "--no-meta"},
		{"run lo --gather soon", "--gather"},
		{"run lo --gather -1us", "--gather"},
		{"run lo --cpu one", "--cpu"},
		{"run lo --gro maybe", "--gro"},
		{"run lo --gro-profile linux5", "--gro-profile"},
		{"run lo --gro-flush 2s", "--gro-flush"},
		{"run lo --gro-flush soon", "--gro-flush"},
		{"run lo --gro-udp 0", "--gro-udp"},
		{"run lo --gro-udp 65536", "--gro-udp"},
		{"helper", "the interfaces that it may give"},
		{"helper lo", "--socket"},
		{"helper lo --socket /tmp/x", "--allow-user"},
		{"helper lo --socket /tmp/x --allow-user no-such-user-here", "no user"},
		{"helper lo --socket /tmp/x --allow-user nobody --queues x", "--queues"},
		{"helper lo --socket /tmp/x --allow-user nobody --match port", "--match"},
		{"helper lo --socket /tmp/x --allow-user nobody --memlock -1", "--memlock -1"},
		{"run lo --helper /tmp/x --user nobody", "--user and --helper"},
		{"run lo --helper /tmp/x --napi-defer-hard-irqs 2", "changes no settings"},
		{"flows", "one interface"},
		{"flows lo --top 0", "--top 0"},
		{"flows lo --sort size", `--sort "size"`},
		{"flows lo --flows 0", "--flows 0"},
		{"flows lo --idle 1ms", "--idle"},
		{"flows lo --interval -1s", "--interval"},
		{"flows lo --gro maybe", "--gro"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := runCommand(context.Background(), strings.Fields(c.args)...)
			if code != 2 || stdout != "" {
				t.Errorf("code %d, stdout %q: want 2 and nothing", code, stdout)
			}
			wantLine(t, stderr, c.want)
		})
	}
}

func TestHelpAndVersionEndWithCode0OnStdout(t *testing.T) {
	for args, want := range map[string]string{
		"":           "Available Commands",
		"--help":     "Available Commands",
		"help run":   "--gro-profile",
		"run --help": "--take-all",
		"version":    "linux/",
	} {
		code, stdout, stderr := runCommand(context.Background(), strings.Fields(args)...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("xrx %s: code %d, stdout %q, stderr %q: want 0 and %q", args, code, stdout, stderr, want)
		}
	}
}

func TestAnInterfaceThatIsNotThereEndsWithCode1AndItsName(t *testing.T) {
	code, stdout, stderr := runCommand(context.Background(), "run", "nosuch0")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, stdout %q: want 1 and nothing", code, stdout)
	}
	wantLine(t, stderr, "nosuch0", "ip link")
}

func TestWithoutPrivilegeEachCommandSaysWhatItNeeds(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	binary := publicCopy(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", n.B.Iface}, "CAP_BPF"},
		{[]string{"demo"}, "root"},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			var stdout, stderr strings.Builder
			cmd := command(c.args...)
			cmd.Path, cmd.Dir = binary, "/"
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}} // nobody
			n.InB(func() { cmd.Run() })
			if code := cmd.ProcessState.ExitCode(); code != 1 || stdout.Len() > 0 {
				t.Errorf("code %d, stdout %q: want 1 and nothing", code, stdout.String())
			}
			wantLine(t, stderr.String(), c.want, "not permitted")
		})
	}
}

// publicCopy copies the test binary to where every user may run it: go test builds in a directory of its user alone.
func publicCopy(t *testing.T) string {
	dir, err := os.MkdirTemp("", "xrx-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	image, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "xrx")
	if err := os.WriteFile(path, image, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, path} { // whatever the umask
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestTheREADMENamesEveryCommandAndEveryFlag(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune(" \t\n`[]|()=,;", r) })
	has := make(map[string]bool, len(words))
	for _, w := range words {
		has[strings.TrimRight(w, ".:")] = true
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !strings.Contains(string(text), "xrx "+c.Name()) {
			t.Errorf("README.md does not show xrx %s", c.Name())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !f.Hidden && !has["--"+f.Name] {
				t.Errorf("README.md does not name --%s of xrx %s", f.Name, c.Name())
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	for _, newCommand := range commands {
		walk(newCommand(env{}))
	}
}
