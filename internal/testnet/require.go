package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"xrx/internal/vethnet"
)

// requireVariable names the environment variable that lists, comma-separated,
// what this machine promises: a test that misses one of them fails, not skips.
const requireVariable = "XRX_REQUIRE"

// zcVariable names the environment variable that holds the interface on which
// a zero-copy bind is expected to work.
const zcVariable = "XRX_ZC_IFACE"

// probes tell why a thing a test may need is missing; nil means it is there.
// Each is run at most once per test binary.
var probes = map[string]func() error{
	"root":  sync.OnceValue(probeRoot),
	"netns": sync.OnceValue(probeNetns),
	"veth":  sync.OnceValue(probeVeth),
	"afxdp": sync.OnceValue(probeAFXDP),
	"zc":    sync.OnceValue(probeZC),
}

// Require skips the test when the machine lacks one of the things named:
//
//	root   effective user id 0
//	netns  network namespaces can be created
//	veth   a veth pair can be built and configured (implies netns)
//	afxdp  AF_XDP sockets can be opened
//	zc     XRX_ZC_IFACE names an interface that binds zero-copy
//	cmd:X  the command X is installed
//
// When XRX_REQUIRE lists the missing one, the test fails.
func Require(t testing.TB, what ...string) {
	t.Helper()
	name, missing, err := firstMissing(what)
	if err != nil {
		t.Fatal(err)
	}
	if missing == "" {
		return
	}
	if promised(os.Getenv(requireVariable), name) {
		t.Fatalf("%s=%s promises it, yet: %s", requireVariable, os.Getenv(requireVariable), missing)
	}
	t.Skip(missing)
}

// firstMissing returns the first thing that is missing and the reason, empty
// when all are there. The error is a name that Require does not know.
func firstMissing(what []string) (name, reason string, err error) {
	for _, name := range what {
		probe, ok := probes[name]
		if command, isCommand := strings.CutPrefix(name, "cmd:"); isCommand {
			probe, ok = func() error { return probeCommand(command) }, true
		}
		if !ok {
			return name, "", fmt.Errorf("testnet.Require: unknown requirement %q", name)
		}
		if err := probe(); err != nil {
			return name, fmt.Sprintf("needs %s: %v", name, err), nil
		}
	}
	return "", "", nil
}

// promised reports whether list, the value of XRX_REQUIRE, has name.
func promised(list, name string) bool {
	for promise := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(promise) == name {
			return true
		}
	}
	return false
}

func probeRoot() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("running as user id %d", uid)
	}
	return nil
}

func probeNetns() error {
	n, err := vethnet.NewNamespace("")
	if err != nil {
		return err
	}
	return n.Close()
}

func probeVeth() error {
	n, err := vethnet.Build(vethnet.Options{})
	if err != nil {
		return err
	}
	return n.Close()
}

func probeAFXDP() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open AF_XDP socket: %w", err)
	}
	return unix.Close(fd)
}

func probeZC() error {
	if os.Getenv(zcVariable) == "" {
		return errors.New(zcVariable + " names no interface")
	}
	return nil
}

func probeCommand(name string) error {
	_, err := exec.LookPath(name)
	return err
}
