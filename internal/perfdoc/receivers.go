package perfdoc

import (
	"fmt"
	"strings"
)

// rx is rx.json.
type rx struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"sample_s"`
	Loads   []struct {
		Name, Engine, Proto string
		Size, Flows, Burst  int
	} `json:"loads"`
	Cells   []cell   `json:"cells"`
	Skipped []string `json:"skipped"`
}

type cell struct {
	Receiver string   `json:"receiver"`
	Load     string   `json:"load"`
	KPPS     float64  `json:"kpps"`
	KPPSHalf float64  `json:"kpps_spread"`
	Loss     float64  `json:"loss_percent"`
	NS       float64  `json:"cpu_ns_per_packet"`
	NSHalf   float64  `json:"cpu_ns_spread"`
	Busy     float64  `json:"cpu_percent"`
	Batch    float64  `json:"batch"`
	Syscalls float64  `json:"syscalls_per_packet"`
	Crossing float64  `json:"crossing_ns"`
	Failed   string   `json:"failed"`
	Samples  []sample `json:"samples"`
}

type sample struct {
	Counted bool `json:"syscalls_counted"`
}

// describe says what a load is.
func (r *rx) describe(load string) string {
	for _, l := range r.Loads {
		if l.Name == load {
			source := map[string]string{"live": "live frames", "xsk": "AF_XDP transmit", "packet": "sendmmsg"}[l.Engine]
			flows := fmt.Sprintf("%d flows", l.Flows)
			if l.Flows == 1 {
				flows = "1 flow"
			}
			if l.Burst > 1 {
				flows += fmt.Sprintf(", %d in a row", l.Burst)
			}
			return fmt.Sprintf("**%s**: %s, %s, %d bytes, %s", load, source, strings.ToUpper(l.Proto), l.Size, flows)
		}
	}
	return "**" + load + "**"
}

// receivers is a table for each load named, or of all.
func receivers(dir string, loads []string) (string, error) {
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	if len(loads) == 0 {
		for _, l := range r.Loads {
			loads = append(loads, l.Name)
		}
	}
	var b strings.Builder
	b.WriteString(r.Machine.from("rx.json", fmt.Sprintf("median of %d rounds of %g s ± half of the quartiles' distance", r.Rounds, r.Seconds)))
	for _, load := range loads {
		t := table("", "kpps", "loss %", "CPU ns/packet", "CPU %", "batch", "system calls/packet", "line, ns")
		n := 0
		for _, c := range r.Cells {
			if c.Load != load {
				continue
			}
			n++
			if len(c.Samples) == 0 {
				t.row(c.Receiver, "failed: "+strings.ReplaceAll(c.Failed, "\n", " "), "", "", "", "", "", "")
				continue
			}
			batch, calls, line := "", "", ""
			if c.Crossing > 0 {
				line = num(c.Crossing, 0)
			}
			if c.Batch > 0 {
				batch = num(c.Batch, 1)
			}
			if c.Samples[0].Counted {
				calls = num(c.Syscalls, 4)
			}
			t.row(c.Receiver, spread(c.KPPS, c.KPPSHalf, 0), num(c.Loss, 2), spread(c.NS, c.NSHalf, 1), num(c.Busy, 0), batch, calls, line)
		}
		if n > 0 {
			fmt.Fprintf(&b, "%s\n\n%s\n", r.describe(load), t)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "Skipped: %s\n", s)
	}
	return b.String(), nil
}
