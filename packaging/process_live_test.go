package packaging_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// transcript is what a running command writes.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is xrx run on b0, with its metrics on port 9780 of b0's namespace.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr transcript
	ended          chan error
}

// start starts a command in the namespace of b0. It is killed at the end of the test.
func start(t *testing.T, n *testnet.Net, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	n.InB(func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	gone := make(chan struct{})
	go func() { p.ended <- cmd.Wait(); close(gone) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-gone })
	return p
}

// complains waits for the command to fail with a complaint that names something.
func (p *process) complains(t *testing.T, name string) {
	t.Helper()
	select {
	case err := <-p.ended:
		if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.HasPrefix(p.stderr.String(), "xrx: ") || !strings.Contains(p.stderr.String(), name) {
			t.Errorf("%v, %q %q: want a complaint that names %s, and code 1", err, p.stdout.String(), p.stderr.String(), name)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("it runs: %q %q", p.stdout.String(), p.stderr.String())
	}
}

var received = regexp.MustCompile(`(?m)^xrx_rx_packets_total\{[^}]*\} [1-9]`)

// receives sends datagrams to a port until the metrics say that some were received.
func (p *process) receives(t *testing.T, n *testnet.Net, port uint16) {
	t.Helper()
	f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 1024), netip.AddrPortFrom(n.B.IP4, port), make([]byte, 100))
	f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
	sender, frame := n.Sender(), f.Append(nil)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, addr string) (c net.Conn, err error) {
		err = n.B.Do(func() error { // the socket must be of that namespace
			c, err = net.DialTimeout(network, addr, 5*time.Second)
			return err
		})
		return c, err
	}}}
	var page string
	for deadline := time.Now().Add(60 * time.Second); !received.MatchString(page); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-p.ended:
			t.Fatalf("ended: %v, %q %q", err, p.stdout.String(), p.stderr.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing is received: %q %q\n%s", p.stdout.String(), p.stderr.String(), page)
		}
		sender.Send(frame)
		if r, err := client.Get("http://127.0.0.1:9780/metrics"); err == nil {
			text, _ := io.ReadAll(r.Body)
			r.Body.Close()
			page = string(text)
		}
	}
}

// ends sends SIGTERM and waits for an end in order.
func (p *process) ends(t *testing.T, within time.Duration) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("%v, %q %q", err, p.stdout.String(), p.stderr.String())
		}
	case <-time.After(within):
		t.Errorf("SIGTERM does not end it within %v: %q", within, p.stdout.String())
	}
}
