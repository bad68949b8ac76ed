package testnet

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const script = "../../scripts/veth-setup.sh"

// setup runs the script and returns its exit code and what it printed.
func setup(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	b, err := exec.Command(script, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(b)
}

func TestSetupScriptIsIdempotent(t *testing.T) {
	Require(t, "root", "veth", "cmd:ip", "cmd:ethtool")
	a, b := UniqueName("xrx-a"), UniqueName("xrx-b")
	names := []string{"--ns-a", a, "--ns-b", b, "--if-a", "s0", "--if-b", "r0"}
	with := func(command string, more ...string) []string {
		return append(append([]string{command}, names...), more...)
	}
	t.Cleanup(func() { setup(t, with("down")...) })
	for _, step := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nothing there yet", with("status"), 1, "no such namespace"},
		{"down where nothing is", with("down"), 0, ""},
		{"up", with("up", "--queues", "3", "--mtu", "3000"), 0, ""},
		{"as wanted", with("status", "--queues", "3", "--mtu", "3000"), 0, "fd00:11::2"},
		{"up again", with("up", "--queues", "3", "--mtu", "3000"), 0, ""},
		{"still as wanted", with("status", "--queues", "3", "--mtu", "3000"), 0, "tx-checksumming: off"},
		{"not what another asks", with("status", "--queues", "2", "--mtu", "1500"), 1, "the MTU is not 1500"},
		{"no program yet", with("status", "--queues", "3", "--mtu", "3000", "--peer-xdp"), 1, "has no XDP program"},
		{"with the peer's program", with("up", "--queues", "3", "--mtu", "3000", "--peer-xdp"), 0, ""},
		{"which is there", with("status", "--queues", "3", "--mtu", "3000", "--peer-xdp"), 0, "xrx_pass"},
		{"and again", with("up", "--queues", "3", "--mtu", "3000", "--peer-xdp"), 0, ""},
		{"other queues need a down", with("up", "--queues", "1"), 1, "run down first"},
		{"without the program, another MTU", with("up", "--queues", "3"), 0, ""},
		{"it is gone", with("status", "--queues", "3", "--peer-xdp"), 1, "has no XDP program"},
		{"down", with("down"), 0, ""},
		{"down again", with("down"), 0, ""},
		{"nothing left", with("status"), 1, "no such namespace"},
	} {
		code, out := setup(t, step.args...)
		if code != step.code || !strings.Contains(out, step.says) {
			t.Fatalf("%s: code %d, want %d and %q:\n%s", step.name, code, step.code, step.says, out)
		}
		if (strings.HasPrefix(step.name, "up") || step.name == "down") && out != "" {
			t.Errorf("%s printed %q", step.name, out)
		}
	}
	for _, name := range []string{a, b} {
		if _, err := os.Stat("/run/netns/" + name); !os.IsNotExist(err) {
			t.Errorf("namespace %s is left: %v", name, err)
		}
	}
}

func TestSetupScriptKeepsWhatIsNotItsOwn(t *testing.T) {
	Require(t, "root", "veth", "cmd:ip", "cmd:ethtool")
	a, b := UniqueName("xrx-a"), UniqueName("xrx-b")
	names := []string{"--ns-a", a, "--ns-b", b}
	t.Cleanup(func() { setup(t, append([]string{"down"}, names...)...) })
	if code, out := setup(t, append([]string{"up"}, names...)...); code != 0 {
		t.Fatalf("up: %d, %s", code, out)
	}
	ns, err := netns.GetFromName(b)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "mine0"
	mine := netlink.NewVeth(attrs)
	mine.PeerName = "mine1"
	if err := h.LinkAdd(mine); err != nil {
		t.Fatal(err)
	}
	if code, out := setup(t, append([]string{"down"}, names...)...); code != 1 || !strings.Contains(out, "mine0") {
		t.Errorf("down over another's interface: %d, %q", code, out)
	}
	if _, err := h.LinkByName("mine0"); err != nil {
		t.Errorf("another's interface is gone: %v", err)
	}
	if err := h.LinkDel(mine); err != nil {
		t.Error(err)
	}
}

func TestSetupScriptRefusesWrongFlags(t *testing.T) {
	for _, args := range [][]string{
		{}, {"sideways"}, {"up", "--queues"}, {"up", "--queues", "0"}, {"up", "--queues", "x"}, {"up", "--mtu", "99"},
		{"up", "--ns-a", "a/b"}, {"up", "--ns-a", "same", "--ns-b", "same"}, {"up", "--if-b", "a-very-long-name"}, {"up", "--what"},
	} {
		if code, out := setup(t, args...); code != 2 || !strings.HasPrefix(out, "veth-setup: ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: code %d, %q", args, code, out)
		}
	}
}

func TestSetupScriptPassesShellcheck(t *testing.T) {
	Require(t, "cmd:shellcheck")
	if out, err := exec.Command("shellcheck", script).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
