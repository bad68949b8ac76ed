package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"xrx/internal/testnet"
	"xrx/internal/tune"
)

// crashable is xrx run in a process of its own, with settings, that is to be killed.
type crashable struct {
	t     *testing.T
	n     *testnet.Net
	dir   string
	child *exec.Cmd
	out   *bytes.Buffer
}

// startWithSettings returns when the state file says that all changes are made.
func startWithSettings(t *testing.T, n *testnet.Net, dir string, flags ...string) *crashable {
	t.Helper()
	c := &crashable{t, n, dir, command(append([]string{"run", n.B.Iface, "--interval", "0", "--state-dir", dir}, flags...)...), &bytes.Buffer{}}
	c.child.Stderr, c.child.Stdout = c.out, c.out
	n.InB(func() {
		if err := c.child.Start(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		if c.child.ProcessState == nil {
			c.kill()
		}
	})
	c.until("the settings are made", func() bool { s := c.state(); return s != nil && s.Settled && s.Owner.PID == c.child.Process.Pid })
	return c
}

// state reads the state file, nil if there is none.
func (c *crashable) state() *tune.State {
	files, _ := filepath.Glob(c.dir + "/run-*.json")
	if len(files) == 0 {
		return nil
	}
	s, err := tune.File{Dir: c.dir, Name: filepath.Base(files[0])}.Load()
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *crashable) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.kill()
			c.t.Fatalf("after 30 s still not: %s; the child said %s", what, c.out)
		}
	}
}

func (c *crashable) kill() {
	c.child.Process.Signal(syscall.SIGKILL)
	c.child.Wait()
}

// look is what can be seen of b0 when no socket is left on it.
func look(t *testing.T, n *testnet.Net) (s map[string]string) {
	t.Helper()
	n.InB(func() {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
			if s = testnet.State(t, n.B.Iface); !strings.Contains(s["sockets"], "[0") || time.Now().After(deadline) {
				break
			}
		}
		s["ip"] = n.Exec(n.B, "ip", "-d", "link", "show", "dev", n.B.Iface)
	})
	return s
}

func inB(t *testing.T, n *testnet.Net, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	n.InB(func() { code, stdout, stderr = runCommand(t.Context(), args...) })
	return code, stdout, stderr
}

func doctorSettings(t *testing.T, n *testnet.Net, dir string) string {
	t.Helper()
	_, stdout, _ := inB(t, n, "doctor", "b0", "--json", "--try", "never", "--state-dir", dir)
	_, by := doctorReport(t, stdout)
	return fmt.Sprint(by["settings"].Verdict, " ", by["settings"].Found, " ", by["settings"].Fix)
}

func TestAfterAKillDoctorRestoresTheSettings(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	n, dir := testnet.New(t, testnet.Options{Queues: 2}), t.TempDir()
	if err := n.B.SysClass("gro_flush_timeout", "777"); err != nil {
		t.Fatal(err)
	}
	before := look(t, n)
	restore := func(args ...string) (int, string, string) {
		return inB(t, n, append([]string{"doctor", "b0", "--restore", "--state-dir", dir}, args...)...)
	}
	if got := doctorSettings(t, n, dir); !strings.HasPrefix(got, "ok none left") {
		t.Errorf("at first: %s", got)
	}
	if code, out, _ := restore(); code != 0 || !strings.Contains(out, "nothing to restore") {
		t.Errorf("nothing to restore: code %d, %q", code, out)
	}

	c := startWithSettings(t, n, dir, "--napi-defer-hard-irqs", "5", "--gro-flush-timeout", "0", "--rx-usecs", "9")
	if got := doctorSettings(t, n, dir); !strings.HasPrefix(got, "ok ") || !strings.Contains(got, fmt.Sprintf("[%d] has changed", c.child.Process.Pid)) {
		t.Errorf("while it runs: %s", got)
	}
	if code, out, stderr := restore("--force"); code != 1 || out != "" {
		t.Errorf("while it runs: code %d, %q", code, out)
	} else {
		wantLine(t, stderr, "still runs", fmt.Sprint(c.child.Process.Pid))
	}
	c.kill()
	if got := doctorSettings(t, n, dir); !strings.HasPrefix(got, "warn ") || !strings.Contains(got, "napi_defer_hard_irqs (was 0)") || !strings.HasSuffix(got, "xrx doctor b0 --restore --state-dir "+dir) {
		t.Errorf("after the kill: %s", got)
	}
	if changed := look(t, n); changed["sysfs napi_defer_hard_irqs"] != "5<nil>" || changed["sysfs gro_flush_timeout"] != "0<nil>" {
		t.Errorf("after the kill: %q %q: nothing to restore, so this test tests nothing", changed["sysfs napi_defer_hard_irqs"], changed["sysfs gro_flush_timeout"])
	}
	if code, out, stderr := restore(); code != 0 || stderr != "" || !strings.Contains(out, "napi_defer_hard_irqs is 0 again\n") || !strings.Contains(out, "gro_flush_timeout is 777 again\n") {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	testnet.SameState(t, before, look(t, n))
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	c = startWithSettings(t, n, dir, "--napi-defer-hard-irqs", "5")
	c.kill()
	if err := n.B.SysClass("napi_defer_hard_irqs", "6"); err != nil { // somebody
		t.Fatal(err)
	}
	if code, _, stderr := restore(); code != 1 {
		t.Errorf("somebody else's setting: code %d", code)
	} else {
		wantLine(t, stderr, "napi_defer_hard_irqs is 6 now, not the 5 that was set", "--force")
	}
	if got := look(t, n)["sysfs napi_defer_hard_irqs"]; got != "6<nil>" {
		t.Errorf("somebody else's setting is now %s", got)
	}
	if code, out, _ := restore("--force"); code != 0 || !strings.Contains(out, "is 0 again") {
		t.Errorf("forced: code %d, %q", code, out)
	}
	testnet.SameState(t, before, look(t, n))
}

// A veth has NAPIs only while it has a program: what doctor can't put back then, the next receiver does.
func TestTheNextRunPutsBackFirst(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	n, dir := testnet.New(t, testnet.Options{}), t.TempDir()
	before := look(t, n)
	startWithSettings(t, n, dir, "--napi-threaded", "on", "--napi-defer-hard-irqs", "5").kill()
	code, out, stderr := inB(t, n, "doctor", "b0", "--restore", "--state-dir", dir)
	if code != 1 || !strings.Contains(out, "napi_defer_hard_irqs is 0 again") {
		t.Errorf("code %d, %q", code, out)
	}
	wantLine(t, stderr, "put threaded back to 0", "no NAPI")
	code, out, stderr = inB(t, n, "run", "b0", "--duration", "10ms", "--interval", "0", "--state-dir", dir, "--gro-flush-timeout", "9us")
	if code != 0 || !strings.Contains(stderr, "put back: threaded is 0 again") || !strings.Contains(out, "settings    gro_flush_timeout 9000 (was 0)") {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	testnet.SameState(t, before, look(t, n))
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestASignalPutsTheSettingsBack(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	n, dir := testnet.New(t, testnet.Options{}), t.TempDir()
	before := look(t, n)
	c := startWithSettings(t, n, dir, "--napi-defer-hard-irqs", "5", "--json")
	// The summary comes only from a process that handles the signal, which it does from its first moment.
	if err := c.child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.child.Wait(); err != nil {
		t.Errorf("%v: %s", err, c.out)
	}
	testnet.SameState(t, before, look(t, n))
	var report struct {
		Mode struct{ Settings []string }
	}
	lines := bytes.Split(bytes.TrimSpace(c.out.Bytes()), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &report); err != nil || strings.Join(report.Mode.Settings, ";") != "napi_defer_hard_irqs 5 (was 0)" {
		t.Errorf("%+v, %v: %s", report, err, c.out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSettingsAskedForWronglyEndWithCode2(t *testing.T) {
	for args, want := range map[string]string{
		"run lo --napi-threaded maybe":         `--napi-threaded "maybe"`,
		"run lo --adaptive-rx 1":               `--adaptive-rx "1"`,
		"run lo --rx-usecs -1":                 "--rx-usecs",
		"run lo --gro-flush-timeout 2s":        "at most 1s",
		"run lo --busy-poll-usecs 20000":       "--busy-poll-usecs 20000",
		"run lo --busy-poll-budget 70000":      "--busy-poll-budget 70000",
		"run lo --adaptive-rx on --rx-usecs 5": "by itself",
		"doctor lo --force":                    "--restore",
	} {
		code, stdout, stderr := runCommand(context.Background(), strings.Fields(args)...)
		if code != 2 || stdout != "" {
			t.Errorf("xrx %s: code %d, stdout %q: want 2 and nothing", args, code, stdout)
		}
		wantLine(t, stderr, want)
	}
}
