package xrx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"xrx"
	"xrx/internal/stage"
	"xrx/internal/testnet"
)

// stages are the moments at which the next test kills a receiver with two queues: a name is its first time, name 2 the
// second. Between start and first packet, and from the end of Run to the end of Close.
var stages = []string{
	"checked", "watching", "program loaded", "attached", "memory", "socket", "umem registered", "filled", "bound", "queue open",
	"socket 2", "umem registered 2", "filled 2", "bound 2", "queue open 2", "pollers", "settings locked", "settings made", "open",
	"thread", "registered", "registered 2", "receiving",
	"told to stop", "unregistered", "unregistered 2", "drained", "drained 2", "ran", "closing", "settings back", "detached", "unloaded",
	"pollers closed", "rings unmapped", "socket closed", "rings unmapped 2", "socket closed 2", "queues closed", "closed",
}

// lifeUpTo is a receiver in a process of its own: from Open to Close, ended by its first packet. At its stage it says so
// and stops itself, with all threads.
func lifeUpTo(iface, last, state string) {
	name, nth := last, int64(1)
	if before, isSecond := strings.CutSuffix(last, " 2"); isSecond {
		name, nth = before, 2
	}
	var reached atomic.Int64
	stage.Hook = func(at string) {
		if at == name && reached.Add(1) == nth {
			fmt.Println("at", last)
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			time.Sleep(time.Hour)
		}
	}
	r, err := xrx.Open(iface, &xrx.Config{Settings: xrx.Settings{DeferHardIRQs: 3, GROFlushTimeout: 50 * time.Microsecond, StateDir: state}})
	if err == nil {
		ctx, end := context.WithCancel(context.Background())
		err = r.Run(ctx, xrx.Handler(func(xrx.Packet) { stage.At("receiving"); end() }))
		stage.At("ran")
		err = errors.Join(err, r.Close())
		stage.At("closed")
	}
	fmt.Println("never there:", err)
	os.Exit(1)
}

// kernelObjects are the ids of the BPF links and programs that a process has open (bpf_link_show_fdinfo,
// bpf_prog_show_fdinfo in kernel/bpf/syscall.c at v6.18).
func kernelObjects(t *testing.T, pid int) (links, programs []uint32) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	numbers := func(text []byte, key string) (ids []uint32) {
		for _, m := range regexp.MustCompile(key+`:\t(\d+)\n`).FindAllSubmatch(text, -1) {
			id, err := strconv.ParseUint(string(m[1]), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, uint32(id))
		}
		return ids
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		links = append(links, numbers(text, "link_id")...)
		programs = append(programs, numbers(text, "prog_id")...)
	}
	return links, programs
}

func gone(err error) bool { return errors.Is(err, os.ErrNotExist) }

func TestAfterKillAtAnyMomentNothingIsLeftAndANewStartReceives(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 2})
	untouched := settingsOf(t, n)
	withLink, withState := 0, 0
	for _, last := range stages {
		t.Run(last, func(t *testing.T) {
			state := t.TempDir()
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), "XRX_TEST_STAGE="+last, "XRX_TEST_RECEIVE="+n.B.Iface, "XRX_TEST_STATE="+state)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			n.InB(func() {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			})
			quit := load(t, n)
			lines := bufio.NewScanner(out)
			said := lines.Scan() && lines.Text() == "at "+last
			links, programs := kernelObjects(t, cmd.Process.Pid)
			cmd.Process.Kill()
			cmd.Wait()
			quit()
			if !said {
				t.Fatalf("the child says %q", lines.Text())
			}
			if len(links) > 0 {
				withLink++
			}
			l, err := n.B.Link()
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "no XDP program is on the interface", func() bool {
				l, err = n.B.Link()
				return err == nil && (l.Attrs().Xdp == nil || !l.Attrs().Xdp.Attached)
			})
			eventually(t, patience, "links and programs are gone", func() bool {
				for _, id := range links {
					if l, err := link.NewFromID(link.ID(id)); !gone(err) {
						if err == nil {
							l.Close()
						}
						return false
					}
				}
				for _, id := range programs {
					if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id)); !gone(err) {
						if err == nil {
							p.Close()
						}
						return false
					}
				}
				return true
			})
			left, err := os.ReadDir(state)
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				withState++
			}

			// A new start, which also puts back the settings that the killed one could not.
			var r *xrx.Receiver
			n.InB(func() {
				if r, err = xrx.Open(n.B.Iface, &xrx.Config{Settings: xrx.Settings{StateDir: state}}); err != nil {
					t.Fatal(err)
				}
			})
			var got atomic.Uint64
			x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
			newFrameMaker(n, 8).send(t, sender(t, n), 0, 100, got.Load)
			eventually(t, patience, "packets arrive", func() bool { return got.Load() >= 100 })
			if err := x.end(); err != nil {
				t.Error(err)
			}
			if l := r.Ledger(); l.Lost != 0 || l.Free+l.Filling != l.Total {
				t.Errorf("ledger: %v", l)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if now := settingsOf(t, n); now != untouched {
				t.Errorf("settings are %q, were %q", now, untouched)
			}
			if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
				t.Errorf("state files are left: %v %v", left, err)
			}
		})
	}
	t.Logf("%d moments; at %d of them a bpf_link was there, at %d a state file", len(stages), withLink, withState)
	if len(stages) < 20 || withLink < 15 || withState == 0 {
		t.Error("the moments are not those that were meant")
	}
}

// settingsOf are those that the child changes.
func settingsOf(t *testing.T, n *testnet.Net) string {
	t.Helper()
	return strings.Join(classFiles(t, n, "napi_defer_hard_irqs", "gro_flush_timeout"), " ")
}
