package xrx_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/internal/privilege"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
	"xrx/match"
	"xrx/privsep"
	"xrx/stats"
	"xrx/umem"
)

// someone is a user whom nobody else on this machine is: locked memory is counted by user.
var someone = 1_000_000 + os.Getpid()

// helped is what a receiver in a process of its own, without any privilege, is to do.
type helped struct {
	Socket string
	A, B   vethnet.End // of the network, as far as frames are made of it
	Count  uint64
	UID    int
}

// helpedResult is what it then says.
type helpedResult struct {
	Next, Faults uint64
	First        string // fault
	Mode         string
	Status       string // of the process: uid, capabilities
	Match        string
	Snapshot     stats.Snapshot
	Closed       umem.Ledger
	Err          string
}

// receiveHelped checks every byte of Count frames, as an ordinary user, and says how far it is and then what it found.
func receiveHelped(spec string) {
	var h helped
	var res helpedResult
	err := json.Unmarshal([]byte(spec), &h)
	if err == nil {
		err = privilege.User{Name: "someone", UID: h.UID, GID: h.UID}.Become()
	}
	if err == nil {
		err = h.receive(&res)
	}
	if err != nil {
		res.Err = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(res)
	os.Exit(0)
}

func (h *helped) receive(res *helpedResult) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "Uid", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs":
			res.Status += key + " " + strings.Join(strings.Fields(value), " ") + "\n"
		}
	}
	r, err := xrx.Open(h.B.Iface, &xrx.Config{Helper: h.Socket, Match: "not udp port 53", Frames: 2048}) // 4 MiB: a user may lock 8 by default
	if err != nil {
		return err
	}
	res.Mode, res.Match = r.Mode().String(), r.Match()
	want, buf := newFrameMaker(&testnet.Net{Net: &vethnet.Net{A: &h.A, B: &h.B}}, 16), make([]byte, 0, 2048)
	ctx, end := context.WithCancel(context.Background())
	go func() {
		for !r.Registered() {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("registered")
	}()
	err = r.Run(ctx, xrx.Handler(func(p xrx.Packet) {
		frame, meta := want.frame(buf, res.Next)
		got := p.Meta()
		if meta.Hash = got.Hash; got != meta || !bytes.Equal(p.Data(), frame) {
			if res.Faults++; res.Faults == 1 {
				res.First = fmt.Sprintf("frame %d: %x with %+v, want %x with %+v", res.Next, p.Data(), got, frame, meta)
			}
		}
		res.Next++
		if res.Next%64 == 0 {
			fmt.Println("arrived", res.Next)
		}
		if res.Next == h.Count {
			end()
		}
	}))
	res.Snapshot = r.Snapshot()
	err = errors.Join(err, r.Close())
	res.Closed = r.Ledger()
	return err
}

// serving runs a helper for b0 until the test ends.
func serving(t *testing.T, n *testnet.Net, p privsep.Policy) (socket string) {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) { // everybody must get through
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	socket = filepath.Join(dir, "helper.sock")
	l, err := privsep.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	var s *privsep.Server
	n.InB(func() { s, err = privsep.NewServer(p) })
	if err != nil {
		t.Fatal(err)
	}
	s.Log = func(line string) { t.Log("helper:", line) }
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func TestAProcessWithoutAnyCapabilityReceivesThroughAHelper(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	keep, err := match.Parse("not tcp port 22")
	if err != nil {
		t.Fatal(err)
	}
	h := helped{Socket: serving(t, n, privsep.Policy{Interfaces: []string{n.B.Iface}, UIDs: []int{someone}, Match: keep}), Count: 10_000, UID: someone,
		A: vethnet.End{MAC: n.A.MAC, IP4: n.A.IP4, IP6: n.A.IP6}, B: vethnet.End{Iface: n.B.Iface, MAC: n.B.MAC, IP4: n.B.IP4, IP6: n.B.IP6}}
	spec, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "XRX_TEST_HELPED="+string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.InB(func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { cmd.Process.Kill() })
	var arrived atomic.Uint64
	registered, result := make(chan struct{}), make(chan []byte, 1)
	go func() {
		defer close(result)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var k uint64
			switch _, err := fmt.Sscanf(lines.Text(), "arrived %d", &k); {
			case lines.Text() == "registered":
				close(registered)
			case err == nil:
				arrived.Store(k)
			default:
				result <- bytes.Clone(lines.Bytes())
				return
			}
		}
	}()
	var line []byte
	select {
	case line = <-result:
		t.Fatalf("it says: %s", line)
	case <-registered:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not receive")
	}
	frames := newFrameMaker(n, 16)
	frames.window = 512
	frames.send(t, sender(t, n), 0, h.Count, arrived.Load)
	select {
	case line = <-result:
	case <-time.After(20 * time.Second):
		t.Fatalf("%d of %d frames arrived, and the receiver does not end", arrived.Load(), h.Count)
	}
	var res helpedResult
	if err := json.Unmarshal(line, &res); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if res.Err != "" || res.Faults != 0 || res.Next != h.Count {
		t.Fatalf("%s: %d of %d frames, %d faults, first %s", res.Err, res.Next, h.Count, res.Faults, res.First)
	}
	const none = "0000000000000000"
	for _, want := range []string{fmt.Sprintf("Uid %[1]d %[1]d %[1]d %[1]d", someone), "CapInh " + none, "CapPrm " + none, "CapEff " + none, "CapAmb " + none, "NoNewPrivs 1"} {
		if !strings.Contains(res.Status, want+"\n") {
			t.Errorf("the process had no %q:\n%s", want, res.Status)
		}
	}
	if want := "not tcp port 22 and not udp port 53"; res.Match != want {
		t.Errorf("match %q, want the helper's and the receiver's: %q", res.Match, want)
	}
	q := res.Snapshot.Queues[0]
	if l := q.Ledger; l.Lost != 0 || l.Free+l.Filling != l.Total || res.Closed.Lost != 0 || res.Closed.Free != res.Closed.Total {
		t.Errorf("ledger %v, after Close %v", l, res.Closed)
	}
	if q.Packets != h.Count || q.Kernel.Lost() != 0 || len(q.Drops) != 0 || res.Snapshot.XDP["redirected"] != h.Count {
		t.Errorf("%d packets, kernel %+v, drops %v, xdp %v", q.Packets, q.Kernel, q.Drops, res.Snapshot.XDP)
	}
	if l, err := n.B.Link(); err != nil || l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached {
		t.Errorf("after Close a program is left: %+v, %v", l.Attrs().Xdp, err)
	}
	t.Logf("%s, match %s, %v, %v", res.Mode, res.Match, res.Snapshot.XDP, q.Ledger)
}
