package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Samples are measurements of one thing, one a round.
type Samples []float64

// Median returns the middle sample, the mean of the two middle ones of an even number, 0 of none.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	t := slices.Sorted(slices.Values(s))
	return (t[(len(t)-1)/2] + t[len(t)/2]) / 2
}

// Spread returns half of the distance between the quartiles: half of all samples are about this near the median.
func (s Samples) Spread() float64 {
	if len(s) == 0 {
		return 0
	}
	t := slices.Sorted(slices.Values(s))
	q := func(f float64) float64 {
		x := f * float64(len(t)-1)
		i := int(x)
		return t[i] + (x-float64(i))*(t[min(i+1, len(t)-1)]-t[i])
	}
	return (q(0.75) - q(0.25)) / 2
}

// Kept removes what an interruption made long: bursts that took more than four times the median. It returns the mean of the
// others and how many were removed. Processors are shared; a burst takes microseconds, a time slice milliseconds.
func Kept(times []int64) (mean float64, removed int) {
	if len(times) == 0 {
		return 0, 0
	}
	t := slices.Sorted(slices.Values(times))
	limit := 4 * t[len(t)/2]
	n, _ := slices.BinarySearch(t, limit+1)
	var sum int64
	for _, v := range t[:n] {
		sum += v
	}
	return float64(sum) / float64(n), len(t) - n
}

// Save writes v as JSON into a file named from the repository's top folder.
func Save(name string, v any) (path string, err error) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return "", err
	}
	if path = name; !filepath.IsAbs(path) {
		path = filepath.Join(Root(), name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("result file: %w", err)
	}
	return path, nil
}
