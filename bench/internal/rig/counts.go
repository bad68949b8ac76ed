package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"xrx/stats"
)

// counts are what a receiver counted itself, since it was started.
type Counts struct {
	Packets  uint64         `json:"packets"`  // as on the wire: a packet merged of three counts three
	Batches  uint64         `json:"batches"`  // times that it found packets; 0 = unknown
	Syscalls uint64         `json:"syscalls"` // that its loop made; with unknown, not counted
	Ages     [][2]int64     `json:"ages"`     // of stamped packets: ns, and how many were so old
	Latency  *stats.Latency `json:"-"`        // of stamped packets
	unknown  bool
}

// receiver is one way to receive all packets of queue 0 of the network's end B.
type Receiver interface {
	Name() string
	// Start returns when packets are taken.
	Start() (Running, error)
}

// running is a receiver at work.
type Running interface {
	// CPU returns the processor time that the receiver has used, user and system.
	CPU() (time.Duration, error)
	// Stop ends it, and waits until it is gone.
	Stop() (Counts, error)
}

// processorTime returns what all threads of a process have run, ns exact: the first field of /proc/PID/task/TID/schedstat
// (Documentation/scheduler/sched-stats.rst). A thread that has ended is not in it; receivers keep theirs.
func processorTime(pid int) (d time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no schedstat of process %d", pid)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended meanwhile
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		d += time.Duration(ns)
	}
	return d, nil
}
