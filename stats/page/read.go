// Package page makes a page of a run: the JSON lines of `xrx run --json` become one HTML file with charts and tables,
// which needs nothing beside itself: no network, no script.
package page

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"xrx/stats"
)

// Run is what the JSON lines of one run say.
type Run struct {
	Intervals []stats.Report
	Summary   *stats.Report // nil: the run did not end in order, or was cut off
	CutOff    int           // number of the last line where that is cut off, as a run that was killed leaves it; else 0
}

// lineMost bounds a line, in bytes: thousands of queues fit.
const lineMost = 8 << 20

// timeMost bounds times, in seconds: thirty thousand years.
const timeMost = 1e12

// Read reads the lines of one run. An error names the line that is not what xrx run --json writes. Only the last line
// may be unfinished: Run.CutOff says so, and it is left out.
func Read(r io.Reader) (*Run, error) {
	run, in := &Run{}, bufio.NewReaderSize(r, lineMost)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("longer than %d bytes: not of xrx run --json", lineMost)
			}
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			var syntax *json.SyntaxError
			switch bad := run.add(text); {
			case err == io.EOF && errors.As(bad, &syntax):
				run.CutOff = n
			case bad != nil:
				return nil, fmt.Errorf("line %d: %w", n, bad)
			}
		}
		if err == io.EOF {
			break
		}
	}
	if len(run.Intervals) == 0 && run.Summary == nil {
		return nil, errors.New("no report in it: want the output of xrx run --json")
	}
	return run, nil
}

func (run *Run) add(text []byte) error {
	var r stats.Report
	if err := json.Unmarshal(text, &r); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			if kind.Field == "" {
				return fmt.Errorf("a JSON %s, not an object of xrx run --json", kind.Value)
			}
			return fmt.Errorf("%s is a %s, which xrx run --json does not write", kind.Field, kind.Value)
		}
		return fmt.Errorf("not JSON: %w", err)
	}
	last := run.last()
	switch {
	case r.Type != "interval" && r.Type != "summary":
		return fmt.Errorf("type is %q: want the interval or summary of xrx run --json", r.Type)
	case slices.ContainsFunc([]float64{r.Elapsed, r.Interval, r.CPU.User, r.CPU.Sys}, func(t float64) bool { return t < 0 || t > timeMost }):
		return errors.New("a time below 0, or beyond all measure")
	case run.Summary != nil || last != nil && (r.Iface != last.Iface || r.Elapsed < last.Elapsed):
		return errors.New("another run begins here: a page is of one run")
	case r.Type == "summary":
		run.Summary = &r
	default:
		run.Intervals = append(run.Intervals, r)
	}
	return nil
}

func (run *Run) last() *stats.Report {
	if n := len(run.Intervals); n > 0 {
		return &run.Intervals[n-1]
	}
	return nil
}

// Whole is the run in one report: its summary, or where that is missing the sum of its intervals.
func (run *Run) Whole() stats.Report {
	if run.Summary != nil {
		return *run.Summary
	}
	return merge(run.Intervals)
}
