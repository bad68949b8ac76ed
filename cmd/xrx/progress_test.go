package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx/internal/capture"
	"xrx/internal/progress"
	"xrx/internal/testnet"
)

// watched is a pseudo terminal with what was written to it. closed ends the reading and returns what then stands there.
func watched(t *testing.T, columns int) (slave *os.File, seen *transcript, closed func() string) {
	t.Helper()
	t.Setenv("TERM", "xterm")
	master, slave := pty(t)
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: 20}); err != nil {
		t.Fatal(err)
	}
	seen = new(transcript)
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(seen, master) }) // until the slave is closed
	return slave, seen, func() string {
		slave.Close()
		reader.Wait()
		v := &vt{columns: columns, rows: 20}
		if _, err := v.Write([]byte(seen.String())); err != nil {
			t.Error(err)
		}
		return v.String()
	}
}

func TestProgressIsDrawnInItsPlaceAndLeavesNoTrace(t *testing.T) {
	slave, seen, closed := watched(t, 30)
	fmt.Fprintln(slave, "before")
	began := time.Now()
	l := progress.Start(progress.Config{When: progress.On, Out: slave, Unit: "frames", Rate: "pps", Redraw: 5 * time.Millisecond,
		State: func() progress.State { return progress.State{What: "sending on a0", Done: 12345678, Part: 0.5} }})
	seen.await(t, "it was drawn three times", func(s string) bool { return strings.Count(s, "\rsending") >= 3 })
	fmt.Fprintln(l.Over(slave), "a line between")
	seen.await(t, "it was drawn again, below", func(s string) bool {
		_, after, ok := strings.Cut(s, "between")
		return ok && strings.Contains(after, "\rsending")
	})
	seen.await(t, "a rate and a rest, cut where the terminal ends", func(s string) bool { return time.Since(began) > time.Second })
	l.Stop()
	fmt.Fprintln(slave, "after")
	if got := closed(); got != "before\na line between\nafter" {
		t.Errorf("it shows\n%s\nwritten %q", got, seen.String())
	}
	if !strings.Contains(seen.String(), "\rsending on a0: 12345678 frame\x1b[K") { // 29 columns
		t.Errorf("written %q", seen.String())
	}
}

func TestProgressIsAutomaticOnlyOnATerminalAndAfterAWhile(t *testing.T) {
	slave, seen, closed := watched(t, 80)
	state := func() progress.State { return progress.State{What: "at work", Part: -1} }
	if l := progress.Start(progress.Config{When: progress.Auto, Out: slave, Plain: true, State: state}); l != nil {
		t.Error("it shows on a terminal that is taken")
		l.Stop()
	}
	began := time.Now()
	l := progress.Start(progress.Config{When: progress.Auto, Out: slave, State: state})
	seen.await(t, "it is drawn", func(s string) bool { return s != "" })
	if d := time.Since(began); d < progress.Patience {
		t.Errorf("it was drawn after %v", d)
	}
	l.Stop()
	short := progress.Start(progress.Config{When: progress.Auto, Out: slave, State: state})
	short.Stop() // at once: it does not wait
	if got := closed(); got != "" {
		t.Errorf("it shows\n%s", got)
	}
}

var drawn = regexp.MustCompile(`\rsending on a0: [1-9]\d* frames, [\d.]+ [kM]pps, 0 %(, |\x1b)`)

func TestGenShowsItsProgressOnStderrAloneAndCtrlCLeavesTheTerminalAsItWas(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, engine := range []string{"live", "xsk", "packet"} {
		t.Run(engine, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			if engine == "live" {
				n.EnableKernelGRO() // of the peer: then it takes redirected frames
			}
			slave, seen, closed := watched(t, 80)
			before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd := command("gen", n.A.Iface, "--engine", engine, "--progress", "--duration", "1h")
			var stdout strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, slave
			n.InA(func() {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			})
			defer cmd.Process.Kill()
			seen.await(t, "frames, their rate and the part were drawn", func(s string) bool {
				return drawn.MatchString(s)
			})
			cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %q", err, seen.String())
			}
			after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("the terminal is changed: %v, %+v, %+v", err, before, after)
			}
			if got := closed(); got != "" {
				t.Errorf("it leaves %q", got)
			}
			if out := stdout.String(); strings.ContainsAny(out, "\r\x1b%") || !strings.Contains(out, "\nsent ") {
				t.Errorf("stdout %q", out)
			}
		})
	}
}

func TestAReplayShowsHowFarTheFileIsRead(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(captureFile(t, stream(tcp4(), 20, 1000, time.Millisecond)...))
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe.pcap")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	slave, seen, closed := watched(t, 80)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var stdout strings.Builder
	done := make(chan int, 1)
	go func() { done <- execute(ctx, env{&stdout, slave}, []string{"dump", "-r", pipe, "--progress"}) }()
	in, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Write(whole); err != nil {
		t.Fatal(err)
	}
	seen.await(t, "packets of an open end", func(s string) bool { return strings.Contains(s, "replaying pipe.pcap: ") })
	in.Close()
	if code := <-done; code != 0 {
		t.Errorf("code %d: %q", code, seen.String())
	}
	if got := closed(); strings.Contains(got, "replaying") || !strings.Contains(got, "20 packets read") || strings.ContainsAny(stdout.String(), "\r\x1b") {
		t.Errorf("it leaves\n%s\nwritten %q, stdout %q", got, seen.String(), stdout.String())
	}
}

func TestTheStateOfAReplayIsThePartOfTheFileThatIsRead(t *testing.T) {
	const packets = 500
	in, err := capture.Open(captureFile(t, stream(tcp4(), packets, 1000, time.Millisecond)...))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	state, last := replayState("some/where/x.pcapng", in), progress.State{}
	for n := uint64(0); ; n++ {
		s := state()
		if s.What != "replaying x.pcapng" || s.Done > n || s.Done < last.Done || n-s.Done > 70 || s.Part < last.Part || s.Part > 1 || s.Part < float64(n)/packets-0.01 {
			t.Fatalf("after %d packets %+v, before %+v", n, s, last)
		}
		last = s
		if _, err := in.Next(); err != nil {
			break
		}
	}
	if s := state(); s.Done != packets || s.Part != 1 {
		t.Errorf("at the end %+v", s)
	}
}

func TestTheStateOfAGeneratorGoesByWhatEndsItFirst(t *testing.T) {
	for _, c := range []struct {
		f        genFlags
		from, to float64
	}{
		{genFlags{}, -1, -1},
		{genFlags{count: 4000}, 0.25, 0.25},
		{genFlags{duration: 2 * time.Hour}, 0.5, 0.51},
		{genFlags{count: 4000, duration: 2 * time.Hour}, 0.5, 0.51},
		{genFlags{count: 1250, duration: 2 * time.Hour}, 0.8, 0.8},
	} {
		s := c.f.state("a0", func() uint64 { return 1000 }, time.Now().Add(-time.Hour))()
		if s.What != "sending on a0" || s.Done != 1000 || s.Part < c.from || s.Part > c.to {
			t.Errorf("--count %d --duration %v: %+v", c.f.count, c.f.duration, s)
		}
	}
}
