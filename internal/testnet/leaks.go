package testnet

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// leakDeadline bounds the wait for resources that the kernel or a finishing
// goroutine gives back a moment after the test.
const leakDeadline = 3 * time.Second

// NoLeaks fails the test when it ends with goroutines, file descriptors or
// file-backed memory mappings (the rings of a socket are such) that were not
// there when NoLeaks was called. Call it before anything that registers its
// own cleanup. It watches the whole process: not for parallel tests.
//
// Anonymous mappings cannot be told from the Go heap here; see AnonymousMappings.
func NoLeaks(t testing.TB) {
	t.Helper()
	startPoller(t)
	goroutines := goleak.IgnoreCurrent()
	before := resources(t)
	t.Cleanup(func() {
		if t.Failed() {
			return // what a failed test leaves behind is not the news
		}
		if err := goleak.Find(goroutines); err != nil {
			t.Errorf("leaked goroutines: %v", err)
		}
		var left []string
		for end := time.Now().Add(leakDeadline); ; time.Sleep(10 * time.Millisecond) {
			runtime.GC() // mapped BPF variables are unmapped by a finalizer
			left = added(before, resources(t))
			if len(left) == 0 || time.Now().After(end) {
				break
			}
		}
		for _, l := range left {
			t.Errorf("leaked %s", l)
		}
	})
}

// AnonymousMappings counts the process's anonymous mappings of exactly the given
// length in bytes: a UMEM of an unusual size can be looked for by it, as long as
// the kernel does not merge it with a neighbour.
func AnonymousMappings(t testing.TB, length uint64) (n int) {
	t.Helper()
	for _, m := range mappings(t) {
		if m.path == "" && m.length == length {
			n++
		}
	}
	return n
}

// startPoller makes the runtime create its poller's descriptors now.
func startPoller(t testing.TB) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
}

// resources counts open descriptors and file-backed mappings by description.
func resources(t testing.TB) map[string]int {
	t.Helper()
	found := map[string]int{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.HasPrefix(target, "/proc/") {
			continue // the directory being read, closed by now
		}
		found[fmt.Sprintf("file descriptor of %s", target)]++
	}
	for _, m := range mappings(t) {
		if m.path != "" && !strings.HasPrefix(m.path, "[") {
			found[fmt.Sprintf("mapping of %d bytes of %s", m.length, m.path)]++
		}
	}
	return found
}

// added lists what after has more of than before.
func added(before, after map[string]int) (left []string) {
	for _, what := range slices.Sorted(maps.Keys(after)) {
		if n := after[what] - before[what]; n > 0 {
			left = append(left, fmt.Sprintf("%d x %s", n, what))
		}
	}
	return left
}

type mapping struct {
	length uint64 // bytes
	path   string // empty when anonymous, [heap] and the like when special
}

// mappings reads /proc/self/maps; see proc_pid_maps(5).
func mappings(t testing.TB) (list []mapping) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			t.Fatalf("/proc/self/maps: %q: %v", line, err)
		}
		m := mapping{length: end - start}
		if f := strings.Fields(line); len(f) > 5 {
			m.path = strings.Join(f[5:], " ")
		}
		list = append(list, m)
	}
	return list
}
