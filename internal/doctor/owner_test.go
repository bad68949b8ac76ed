package doctor

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"xrx/internal/testnet"
)

// asChild makes the test binary another process, which attaches a program to b0 and stays until its input ends.
const asChild = "XRX_DOCTOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		if err := attachAndWait(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func attachAndWait() error {
	l, err := netlink.LinkByName("b0")
	if err != nil {
		return err
	}
	p, err := ebpf.NewProgram(pass)
	if err != nil {
		return err
	}
	if _, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: l.Attrs().Index}); err != nil {
		return err
	}
	fmt.Println("attached")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestTheOwnerOfAProgramIsNamedAndNobodyElse(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	child, start := n.B.Command(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), asChild+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || said != "attached\n" {
		t.Fatalf("%q, %v", said, err)
	}
	want := expect{Fail, fmt.Sprintf("[%d])", child.Process.Pid), fmt.Sprintf("kill %d", child.Process.Pid)}
	for _, c := range examineB(t, n, "b0", Options{}).Checks {
		if c.ID == "xdp-programs" && (c.Verdict != want.verdict || !strings.HasSuffix(c.Found, want.found) || c.Fix != want.fix || strings.Contains(c.Found, fmt.Sprintf("[%d]", os.Getpid()))) {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}
