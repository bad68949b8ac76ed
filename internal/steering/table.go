package steering

import (
	"fmt"
	"strconv"
	"strings"
)

// Table makes an RSS table of so many entries: "equal=4" spreads over queues 0 to 3, "weights=1,0,2" gives queues their
// shares, "0,2" takes turns among these. It must not lead beyond the interface's queues.
func Table(spec string, entries, queues int) ([]int, error) {
	if entries == 0 {
		return nil, fmt.Errorf("the driver has no RSS table")
	}
	how, list, named := strings.Cut(spec, "=")
	if !named {
		how, list = "turns", spec
	}
	var numbers []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q: want equal=N, weights=W0,W1,... or queues like 0,2", spec)
		}
		numbers = append(numbers, n)
	}
	table := make([]int, entries)
	switch how {
	case "equal":
		if len(numbers) != 1 || numbers[0] < 1 || numbers[0] > queues {
			return nil, fmt.Errorf("%q: want equal=N with N from 1 to %d, the rx queues in use", spec, queues)
		}
		for i := range table {
			table[i] = i % numbers[0]
		}
	case "weights":
		return weighted(numbers, entries, queues)
	case "turns":
		for i := range table {
			if table[i] = numbers[i%len(numbers)]; table[i] >= queues {
				return nil, fmt.Errorf("there is no rx queue %d: want 0 to %d", table[i], queues-1)
			}
		}
		if len(numbers) > entries {
			return nil, fmt.Errorf("%d queues, and a table of %d entries", len(numbers), entries)
		}
	default:
		return nil, fmt.Errorf("%q: want equal=N, weights=W0,W1,... or queues like 0,2", spec)
	}
	return table, nil
}

// weighted gives each queue its share of the table, in one piece, to within an entry.
func weighted(weights []int, entries, queues int) ([]int, error) {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	if sum == 0 || sum > 1<<30 || len(weights) > queues {
		return nil, fmt.Errorf("want a weight for each of %d rx queues at most, not all 0", queues)
	}
	table := make([]int, 0, entries)
	upTo := 0
	for queue, w := range weights {
		for upTo += w; len(table) < upTo*entries/sum; {
			table = append(table, queue)
		}
	}
	return table, nil
}
