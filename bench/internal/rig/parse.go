package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"xrx/stats"
)

// loopCounts reads the last line of a loop, a JSON object: packets, batches, system calls, and what else it measured.
func loopCounts(out []byte) (c Counts, err error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &c); err != nil {
		return c, fmt.Errorf("last line %q: %w", lines[len(lines)-1], err)
	}
	if len(c.Ages) > 0 {
		h := hdrhistogram.New(1, int64(100e9), 3)
		for _, a := range c.Ages {
			_ = h.RecordValues(min(a[0], int64(100e9)), a[1])
		}
		c.Latency = Latency(h)
	}
	return c, nil
}

// Latency returns the percentiles of a histogram of ns.
func Latency(h *hdrhistogram.Histogram) *stats.Latency {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e9 }
	return &stats.Latency{Packets: uint64(h.TotalCount()), Min: float64(h.Min()) / 1e9, P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		P9999: at(99.99), Max: float64(h.Max()) / 1e9}
}

// xrxSummary reads the last line of xrx run --json.
func xrxSummary(out []byte) (c Counts, err error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var r stats.Report
	if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil {
		return c, err
	}
	if r.Type != "summary" {
		return c, errors.New("xrx printed no summary")
	}
	if r.Ledger.Lost != 0 {
		return c, fmt.Errorf("frames %s", r.Ledger)
	}
	c.Packets, c.Latency = r.Delivered.Segments, r.Latency
	for _, q := range r.Queues {
		c.Batches += q.Polls
		c.Syscalls += q.Sleeps + q.Wakeups
	}
	return c, nil
}

// dumpSummary reads what xrx dump says at its end.
func dumpSummary(out []byte) (c Counts, err error) {
	all := written.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return c, errors.New("xrx dump printed no summary")
	}
	c.unknown = true
	c.Packets, err = strconv.ParseUint(strings.ReplaceAll(string(all[len(all)-1][1]), ",", ""), 10, 64)
	return c, err
}

func testpmdCounts(out []byte) (c Counts, err error) {
	all := rxPackets.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return c, errors.New("testpmd printed no statistics")
	}
	c.unknown = true
	c.Packets, err = strconv.ParseUint(string(all[len(all)-1][1]), 10, 64)
	return c, err
}
