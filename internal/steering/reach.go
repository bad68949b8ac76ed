package steering

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tables are how an interface steers packets.
type Tables struct {
	Interface string
	Queues    int    // rx queues in use
	RSS       []int  // the rx queue of each hash bucket; nil: the driver has no table, or doesn't show it
	Rules     []Rule // nil: none, or the driver doesn't show them
}

// rulesTold is how many rules are named; the rest is counted.
const rulesTold = 4

// Unbound tells, a sentence for each, what steers packets to queues that are not bound: they go to the kernel. Nothing
// where all that the tables lead to is bound.
func (t Tables) Unbound(bound []int) (warnings []string) {
	entries := map[int]int{}
	for _, q := range t.RSS {
		if !slices.Contains(bound, q) {
			entries[q]++
		}
	}
	if n := len(entries); n > 0 {
		sum, queues := 0, []int(nil)
		for q, n := range entries {
			sum, queues = sum+n, append(queues, q)
		}
		slices.Sort(queues)
		warnings = append(warnings, fmt.Sprintf("RSS spreads flows to queue %s as well (%d of %d entries of its table), not bound: those packets go to the kernel, not to xrx; bind all (--queues all), or: xrx steer %s --rss %s",
			list(queues), sum, len(t.RSS), t.Interface, list(bound)))
	}
	if missing := t.Queues - len(bound); t.RSS == nil && missing > 0 {
		warnings = append(warnings, fmt.Sprintf("%d of %d rx queues are not bound: what the interface steers there goes to the kernel, not to xrx (bind all: --queues all)", missing, t.Queues))
	}
	told := 0
	for _, r := range t.Rules {
		if r.Drop || r.VF > 0 || slices.Contains(bound, r.Queue) {
			continue
		}
		if told++; told <= rulesTold {
			warnings = append(warnings, fmt.Sprintf("flow rule %d (%s) leads to queue %d, not bound: its packets go to the kernel, not to xrx; bind it (--queues), or: xrx steer %s --delete-rule %d",
				r.Location, r, r.Queue, t.Interface, r.Location))
		}
	}
	if told > rulesTold {
		warnings = append(warnings, fmt.Sprintf("and %d more flow rules lead to queues that are not bound (xrx steer %s)", told-rulesTold, t.Interface))
	}
	return warnings
}

func list(numbers []int) string {
	text := make([]string, len(numbers))
	for i, n := range numbers {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ",")
}
