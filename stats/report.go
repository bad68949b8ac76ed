package stats

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"

	"xrx/umem"
)

// Mode is the mode that was negotiated, as reports show it.
type Mode struct {
	Attach string `json:"attach"` // native | skb
	Bind   string `json:"bind"`   // zerocopy | copy
	Reason string `json:"reason"` // why it is not a better one

	Settings []string `json:"settings,omitempty"` // of the interface, changed while receiving
}

// Report is what happened between two snapshots. Its JSON form is one line of `xrx run --json`.
type Report struct {
	Type      string            `json:"type"` // "interval" or "summary"
	Iface     string            `json:"iface"`
	Out       string            `json:"out,omitempty"` // the interface that packets were forwarded to; NewReport leaves it out
	Elapsed   float64           `json:"elapsed_s"`     // since receiving began
	Interval  float64           `json:"interval_s"`    // what the counts of this report cover
	Mode      Mode              `json:"mode"`
	Rx        Rx                `json:"rx"`
	Delivered Delivered         `json:"delivered"`
	GRO       GRO               `json:"gro"`
	Drops     map[string]uint64 `json:"drops"` // by reason, only those that happened
	Consumers Consumers         `json:"consumers"`
	Tx        Tx                `json:"tx"` // forwarded; 0 where nothing is
	Kernel    Kernel            `json:"kernel"`
	XDP       map[string]uint64 `json:"xdp"`    // the XDP program's outcomes by reason, only those that happened
	Events    map[string]uint64 `json:"events"` // what happened to the interface, by kind, only what happened
	Ledger    umem.Ledger       `json:"ledger"`
	CPU       CPUReport         `json:"cpu"`
	Latency   *Latency          `json:"latency,omitempty"` // with --latency; NewReport leaves it out
	Queues    []QueueReport     `json:"queues"`
	Workers   []WorkerReport    `json:"workers,omitempty"`
}

// Rx is what was taken off the rx rings. bps counts Ethernet bytes without preamble and FCS.
type Rx struct {
	Packets uint64  `json:"packets"`
	Bytes   uint64  `json:"bytes"`
	PPS     float64 `json:"pps"`
	BPS     float64 `json:"bps"`
}

// Delivered is what consumers got. Segments are packets as they were on the wire.
type Delivered struct {
	Packets  uint64 `json:"packets"`
	Segments uint64 `json:"segments"`
	Bytes    uint64 `json:"bytes"`
}

// GRO is packets into and out of the GRO engine, and what it did by reason. All 0 when it is off.
type GRO struct {
	In      uint64            `json:"in"`
	Out     uint64            `json:"out"`
	Reasons map[string]uint64 `json:"reasons,omitempty"`
}

// Consumers is what happened in consumers, by their names.
type Consumers struct {
	Packets map[string]uint64 `json:"packets,omitempty"` // given to the handlers of a Mux
	Panics  map[string]uint64 `json:"panics,omitempty"`
	Missed  map[string]uint64 `json:"missed,omitempty"` // packets that taps could not keep; only of the whole
	Kept    map[string]uint64 `json:"kept,omitempty"`   // frames that taps keep now; only of the whole
}

// Add adds what happened on another queue, or later.
func (c *Consumers) Add(o Consumers) {
	sum(&c.Packets, o.Packets)
	sum(&c.Panics, o.Panics)
	sum(&c.Missed, o.Missed)
	if o.Kept != nil {
		c.Kept = o.Kept // a level: the later one's
	}
}

// CPUReport is processor time of the whole process; ns_per_packet is over packets received, 0 when there were none.
type CPUReport struct {
	User        float64 `json:"user_s"`
	Sys         float64 `json:"sys_s"`
	NsPerPacket float64 `json:"ns_per_packet"`
}

// QueueReport is one queue's share.
type QueueReport struct {
	Queue     int               `json:"queue"`
	Rx        Rx                `json:"rx"`
	Delivered Delivered         `json:"delivered"`
	GRO       GRO               `json:"gro"`
	Batch     float64           `json:"batch"` // packets per poll that found any
	Polls     uint64            `json:"polls"`
	Squeezes  uint64            `json:"squeezes"`
	Sleeps    uint64            `json:"sleeps"`
	Wakeups   uint64            `json:"wakeups"`
	Gather    float64           `json:"gather_s"` // longest sleep while packets come fast, now
	Fill      Fill              `json:"fill"`
	RxLevel   int               `json:"rx_level"`
	Drops     map[string]uint64 `json:"drops"`
	Consumers Consumers         `json:"consumers"`
	Tx        Tx                `json:"tx"` // forwarded; 0 where nothing is
	Kernel    Kernel            `json:"kernel"`
	Ledger    umem.Ledger       `json:"ledger"`
	CPU       CPUReport         `json:"cpu"` // the queue's thread alone
}

// Fill is the fill ring: level and size now, the rest over the report's time.
type Fill struct {
	Level  int    `json:"level"`
	Size   int    `json:"size"`
	Posted uint64 `json:"posted"`
	Empty  uint64 `json:"empty"`
	Short  uint64 `json:"short"`
}

// NewReport describes what happened from one snapshot to a later one of the same receiver; began is when it started.
func NewReport(kind, iface string, mode Mode, began time.Time, from, to Snapshot) Report {
	r := Report{Type: kind, Iface: iface, Elapsed: max(0, to.At.Sub(began).Seconds()), Interval: max(0, to.At.Sub(from.At).Seconds()), Mode: mode,
		Drops: map[string]uint64{}, XDP: diff(to.XDP, from.XDP), Events: diff(to.Events, from.Events), Queues: make([]QueueReport, 0, len(to.Queues))}
	for _, q := range to.Queues {
		var old Queue // of a queue that came later: nothing
		if i := slices.IndexFunc(from.Queues, func(o Queue) bool { return o.Queue == q.Queue }); i >= 0 {
			old = from.Queues[i]
		}
		qr := queueReport(q, old, r.Interval)
		r.Queues = append(r.Queues, qr)
		r.Rx.Packets += qr.Rx.Packets
		r.Rx.Bytes += qr.Rx.Bytes
		r.Delivered.Packets += qr.Delivered.Packets
		r.Delivered.Segments += qr.Delivered.Segments
		r.Delivered.Bytes += qr.Delivered.Bytes
		r.GRO.In += qr.GRO.In
		r.GRO.Out += qr.GRO.Out
		sum(&r.Drops, qr.Drops)
		r.Consumers.Add(qr.Consumers)
		sum(&r.GRO.Reasons, qr.GRO.Reasons)
		r.Tx.add(qr.Tx)
		r.Kernel = r.Kernel.add(qr.Kernel)
		r.Ledger = r.Ledger.Add(qr.Ledger)
	}
	r.Consumers.Missed, r.Consumers.Kept = diff(to.Missed, from.Missed), to.Kept
	for i, w := range to.Workers {
		var old Worker
		if i < len(from.Workers) {
			old = from.Workers[i]
		}
		r.Workers = append(r.Workers, workerReport(w, old))
	}
	r.Rx.rate(r.Interval)
	r.CPU = cpuReport(to.CPU.sub(from.CPU), r.Rx.Packets)
	return r
}

func queueReport(q, old Queue, seconds float64) QueueReport {
	r := QueueReport{
		Queue:     q.Queue,
		Rx:        Rx{Packets: q.Packets - old.Packets, Bytes: q.Bytes - old.Bytes},
		Delivered: Delivered{q.OutPackets - old.OutPackets, q.OutSegments - old.OutSegments, q.OutBytes - old.OutBytes},
		GRO:       GRO{q.GROIn - old.GROIn, q.GROOut - old.GROOut, diff(q.GRO, old.GRO)},
		Polls:     q.Polls - old.Polls, Squeezes: q.Squeezes - old.Squeezes, Sleeps: q.Sleeps - old.Sleeps, Wakeups: q.Wakeups - old.Wakeups,
		Gather:    q.Gather.Seconds(),
		Fill:      Fill{q.FillLevel, q.FillSize, q.FillPosted - old.FillPosted, q.FillEmpty - old.FillEmpty, q.FillShort - old.FillShort},
		RxLevel:   q.RxLevel,
		Drops:     diff(q.Drops, old.Drops),
		Consumers: Consumers{Packets: diff(q.Handled, old.Handled), Panics: diff(q.Panics, old.Panics)},
		Tx:        q.Tx.sub(old.Tx),
		Kernel:    q.Kernel.sub(old.Kernel),
		Ledger:    q.Ledger,
	}
	r.Rx.rate(seconds)
	if r.Polls > 0 {
		r.Batch = float64(r.Rx.Packets) / float64(r.Polls)
	}
	if q.CPU.User+q.CPU.Sys > 0 {
		r.CPU = cpuReport(q.CPU.sub(old.CPU), r.Rx.Packets)
	}
	return r
}

func (r *Rx) rate(seconds float64) {
	if seconds > 0 {
		r.PPS, r.BPS = float64(r.Packets)/seconds, 8*float64(r.Bytes)/seconds
	}
}

func cpuReport(c CPU, packets uint64) CPUReport {
	r := CPUReport{User: c.User.Seconds(), Sys: c.Sys.Seconds()}
	if packets > 0 {
		r.NsPerPacket = float64(c.User+c.Sys) / float64(packets)
	}
	return r
}

// diff returns what was counted since old, without the zeroes; never nil, so that JSON says {} and not null.
func diff(now, old map[string]uint64) map[string]uint64 {
	d := make(map[string]uint64)
	for k, v := range now {
		if v != old[k] {
			d[k] = v - old[k]
		}
	}
	return d
}

func sum(into *map[string]uint64, m map[string]uint64) {
	if *into == nil {
		*into = maps.Clone(m)
		return
	}
	for k, v := range m {
		(*into)[k] += v
	}
}

// Dropped returns all packets that this report knows to be dropped: by xrx, and by the kernel before it.
func (r Report) Dropped() (n uint64) {
	for _, v := range r.Drops {
		n += v
	}
	return n + r.Kernel.Lost()
}

// WriteJSON writes the report as one line.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }
