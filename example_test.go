package xrx_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/internal/testnet"
	"xrx/xsk"
)

func Example() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println("receiving,", r.Mode()) // as negotiated; r.Mode().Reason says why it is not a better one

	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	err = r.Run(ctx, xrx.Handler(func(p xrx.Packet) {
		m := p.Meta()
		fmt.Printf("queue %d: %d bytes, IPv%d, flow %08x\n", p.Queue(), p.Len(), m.L3, m.Hash)
	}))
	if err != nil {
		log.Print(err)
	}
}

// A handler's packet is released when the handler returns. Retain keeps it for longer, here for another goroutine.
func ExampleHandler() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	first := make(chan xrx.Packet, 1)
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, xrx.Handler(func(p xrx.Packet) {
			p.Retain()
			select {
			case first <- p: // the reference goes with it
			default:
				p.Release()
			}
		}))
	}()

	p := <-first
	fmt.Printf("%d bytes from %x\n", p.Len(), p.Data()[6:12])
	p.Release() // before Close: until then the frame is not the kernel's to fill
	stop()
	if err := <-done; err != nil {
		log.Print(err)
	}
	for len(first) > 0 {
		(<-first).Release()
	}
}

// A batch handler owns its packets. Here they go to a worker, which releases them when it is done. A worker that is
// too slow loses packets that are counted: it must not hold so many frames that the kernel has none to fill.
func ExampleBatchHandler() {
	r, err := xrx.Open("eth1", &xrx.Config{Frames: 8192})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()

	work := make(chan xrx.Packet, 1024)
	var handled, dropped atomic.Uint64
	var worker sync.WaitGroup
	worker.Go(func() {
		for p := range work {
			handled.Add(uint64(p.Count()))
			p.Release() // from another goroutine than the queue's: allowed
		}
	})
	err = r.Run(ctx, xrx.BatchHandler(func(batch []xrx.Packet) {
		for _, p := range batch {
			select {
			case work <- p:
			default:
				dropped.Add(1)
				p.Release()
			}
		}
	}))
	close(work)
	worker.Wait() // everything is released: Close has nothing to wait for
	fmt.Printf("handled %d, dropped %d\n", handled.Load(), dropped.Load())
	if err != nil {
		log.Print(err)
	}
}

// With GRO a packet may be many that arrived on the wire. Its bytes lie in several frames; nothing was copied.
func ExamplePacket_Buffers() {
	r, err := xrx.Open("eth1", &xrx.Config{GRO: &gro.Config{Flush: 200 * time.Microsecond}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	err = r.Run(ctx, xrx.Handler(func(p xrx.Packet) {
		vec := p.Buffers(nil) // for writev; valid as long as the packet
		fmt.Printf("%d packets of the wire, %d bytes in %d buffers\n", p.Count(), p.Len(), len(vec))
	}))
	if err != nil {
		log.Print(err)
	}
}

// Mode says what was negotiated, Snapshot what happened. Both may be asked while Run is running.
func ExampleReceiver_Snapshot() {
	r, err := xrx.Open("eth1", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	m := r.Mode()
	fmt.Printf("mode %s (%s)\n", m, m.Reason)

	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if err := r.Run(ctx, xrx.Handler(func(xrx.Packet) {})); err != nil {
		log.Print(err)
	}
	for _, q := range r.Snapshot().Queues {
		fmt.Printf("queue %d: %d packets in %d polls, dropped by xrx %v, by the kernel %d\n",
			q.Queue, q.Packets, q.Polls, q.Drops, q.Kernel.Lost())
		fmt.Println("frames:", q.Ledger)
	}
}

// What can't work is said before anything is opened.
func ExampleConfig_Validate() {
	for _, c := range []xrx.Config{
		{RingSize: 1000},
		{Attach: bpf.Generic, Bind: xsk.ZeroCopy},
		{},
	} {
		fmt.Println(c.Validate())
	}
	// Output:
	// xrx: rings of 1000 and 1000 descriptors: the kernel takes powers of two
	// xrx: zero-copy needs the XDP program in native mode: generic mode accepts the bind and then loses packets
	// <nil>
}

// The examples above name an interface; here there is one, and packets come in.
func TestTheExamplesReceive(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct {
		name    string
		example func()
		want    string
	}{
		{"package", Example, "\nqueue 0: "},
		{"Handler", ExampleHandler, "bytes from 02000000000a\n"},
		{"BatchHandler", ExampleBatchHandler, "dropped 0\n"},
		{"Packet_Buffers", ExamplePacket_Buffers, "packets of the wire"},
		{"Receiver_Snapshot", ExampleReceiver_Snapshot, "lost 0\n"},
		{"Mux", ExampleMux, "the capture missed 0\n"},
		{"ownership", Example_ownership, "store        32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{IfB: "eth1"})
			s, m := sender(t, n), newFrameMaker(n, 1)
			frame, _ := m.frame(nil, 1)
			done := make(chan struct{})
			var feeder sync.WaitGroup
			feeder.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(5 * time.Millisecond):
						s.Send([][]byte{frame})
					}
				}
			})
			var printed string
			n.InB(func() { printed = stdoutOf(t, c.example) })
			close(done)
			feeder.Wait()
			if !strings.Contains(printed, c.want) {
				t.Errorf("it printed %q: want %q in it", printed, c.want)
			}
		})
	}
}

// stdoutOf runs f and returns what it printed.
func stdoutOf(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var text bytes.Buffer
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(&text, r)
	}()
	old := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = old }()
	f()
	w.Close()
	<-copied
	return text.String()
}

// The example in the README is the package's example: compiled, and run by the test above.
func TestTheREADMEShowsTheExampleThatIsCompiled(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(source), "func Example() {\n")
	body, _, ok2 := strings.Cut(body, "\n}\n")
	if !ok || !ok2 {
		t.Fatal("no func Example in example_test.go")
	}
	var want strings.Builder
	for line := range strings.SplitSeq(body, "\n") {
		want.WriteString(strings.TrimPrefix(line, "\t") + "\n")
	}
	if !strings.Contains(string(readme), "```go\n"+want.String()+"```") {
		t.Errorf("README.md does not show this:\n%s", want.String())
	}
}
