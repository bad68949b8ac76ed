package rig

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

// userHZ is the unit of /proc/stat, on every architecture that Go runs on.
const userHZ = 100

// busyTime returns how long a processor was not idle since boot, in steps of 10 ms (proc_stat(5)).
func busyTime(cpu int) (time.Duration, error) {
	t, err := processor(cpu)
	return t.busy, err
}

// Stolen returns how long the host of this virtual machine gave a processor to somebody else although it had work,
// since boot, in steps of 10 ms.
func Stolen(cpu int) (time.Duration, error) {
	t, err := processor(cpu)
	return t.stolen, err
}

// times are of a processor, since boot; what was stolen is part of busy.
type times struct{ busy, stolen time.Duration }

func processor(cpu int) (t times, err error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return t, err
	}
	defer f.Close()
	prefix := fmt.Sprintf("cpu%d ", cpu)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, ok := strings.CutPrefix(lines.Text(), prefix)
		if !ok {
			continue
		}
		var user, nice, system, idle, wait, irq, softirq, steal int64
		if _, err := fmt.Sscan(line, &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); err != nil {
			return t, fmt.Errorf("/proc/stat: %w", err)
		}
		const tick = time.Second / userHZ
		return times{time.Duration(user+nice+system+irq+softirq+steal) * tick, time.Duration(steal) * tick}, nil
	}
	return t, fmt.Errorf("/proc/stat: no processor %d", cpu)
}
