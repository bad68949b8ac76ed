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
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
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
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		return time.Duration(user+nice+system+irq+softirq+steal) * time.Second / userHZ, nil
	}
	return 0, fmt.Errorf("/proc/stat: no processor %d", cpu)
}
