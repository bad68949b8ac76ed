package stats

import "time"

// Kind says how a value moves.
type Kind uint8

const (
	Counter Kind = iota // only grows; a report has its difference
	Gauge               // a level: a report has it as it was at the end
)

func (k Kind) String() string { return [...]string{"counter", "gauge"}[k] }

// Desc describes one value that xrx reports: what it is called in every output, who counted it, and where it is in a
// Snapshot. Metrics and their document are made from it; tests hold the JSON line and the text to it.
type Desc struct {
	Metric string // name for Prometheus, with its unit
	Label  string // name of the label that tells apart what shares the metric: reason, state, mode; "" if there is none
	Value  string // this one's value of Label; "" if it is one value for each key of the JSON object
	JSON   string // path of the field in a JSON line. Of a queue's value: below queues[], and their sum at the top
	Text   string // label of its line in the text report, "" if that has none
	Layer  string // who counted it
	Kind   Kind
	Help   string

	queue  func(*Queue) float64           // one of the six is set
	whole  func(*Snapshot) float64        // of the process, not of a queue
	queues func(*Queue) map[string]uint64 // by reason
	wholes func(*Snapshot) map[string]uint64

	worker  func(*Worker) float64
	workers func(*Worker) map[string]uint64
}

// PerWorker reports whether every worker has the value.
func (d *Desc) PerWorker() bool { return d.worker != nil || d.workers != nil }

// PerQueue reports whether every queue has the value.
func (d *Desc) PerQueue() bool { return d.queue != nil || d.queues != nil }

// OnlyPerQueue reports whether a JSON line has the value below queues[] alone, not summed up at the top.
func (d *Desc) OnlyPerQueue() bool { return d.PerQueue() && onlyBelowQueues[d.JSON] }

// Each calls f with every value that s has: of which queue or worker (-1: the whole), and the label's value.
func (d *Desc) Each(s *Snapshot, f func(of int, label string, v float64)) {
	switch {
	case d.whole != nil:
		f(-1, d.Value, d.whole(s))
	case d.wholes != nil:
		for k, v := range d.wholes(s) {
			f(-1, k, float64(v))
		}
	}
	for i := range s.Workers {
		w := &s.Workers[i]
		switch {
		case d.worker != nil:
			f(w.Worker, d.Value, d.worker(w))
		case d.workers != nil:
			for k, v := range d.workers(w) {
				f(w.Worker, k, float64(v))
			}
		}
	}
	for i := range s.Queues {
		q := &s.Queues[i]
		switch {
		case d.queue != nil:
			f(q.Queue, d.Value, d.queue(q))
		case d.queues != nil:
			for k, v := range d.queues(q) {
				f(q.Queue, k, float64(v))
			}
		}
	}
}

// Layers: who counts.
const (
	layerXDP     = "XDP program"
	layerKernel  = "kernel (XDP_STATISTICS)"
	layerNetlink = "kernel (netlink)"
	layerQueue   = "queue"
	layerUmem    = "umem and queue"
	layerMux     = "mux"
	layerGuard   = "containment"
	layerSteer   = "queue and worker"
	layerFill    = "fillring"
	layerGRO     = "gro"
	layerLedger  = "ledger"
	layerOS      = "kernel (rusage)"
	layerTx      = "txring"
)

const (
	ledgerHelp = "Frames by the state that they are in, found by walking their headers. The sum is all frames; lost must be 0."
	cpuHelp    = "Processor time of the whole process. The kernel's half of receiving runs in softirq and is not in it."
	threadHelp = "Processor time of the queue's thread; 0 when it is not running. A thread that has several queues is counted with its first."
)

// Catalog is everything that is counted, from the wire upwards.
var Catalog = []Desc{
	{Metric: "xrx_xdp_outcomes_total", Label: "reason", JSON: "xdp", Text: "xdp", Layer: layerXDP,
		Help:   "Packets by what the XDP program did with them. Each is redirected, no_socket, not_matched or disabled; other reasons say more about those redirected, like truncated: shorter than their IP header says.",
		wholes: func(s *Snapshot) map[string]uint64 { return s.XDP }},

	{Metric: "xrx_interface_events_total", Label: "event", JSON: "events", Text: "events", Layer: layerNetlink,
		Help:   "What happened to the interface while it was received from: link_down, program_detached, frames_truncated and others.",
		wholes: func(s *Snapshot) map[string]uint64 { return s.Events }},

	{Metric: "xrx_kernel_rx_dropped_total", JSON: "kernel.rx_dropped", Text: "dropped", Layer: layerKernel,
		Help:  "Packets that the kernel dropped: no frame in the fill ring, or the packet too long for a frame.",
		queue: func(q *Queue) float64 { return float64(q.Kernel.RxDropped) }},
	{Metric: "xrx_kernel_rx_ring_full_total", JSON: "kernel.rx_ring_full", Text: "dropped", Layer: layerKernel,
		Help:  "Packets that the kernel dropped because the rx ring was full: xrx was too slow.",
		queue: func(q *Queue) float64 { return float64(q.Kernel.RxRingFull) }},
	{Metric: "xrx_kernel_rx_fill_ring_empty_descs_total", JSON: "kernel.rx_fill_ring_empty_descs", Text: "dropped", Layer: layerKernel,
		Help:  "Times that the kernel wanted a frame and found the fill ring empty.",
		queue: func(q *Queue) float64 { return float64(q.Kernel.RxFillRingEmptyDescs) }},
	{Metric: "xrx_kernel_rx_invalid_descs_total", JSON: "kernel.rx_invalid_descs", Text: "dropped", Layer: layerKernel,
		Help:  "Descriptors in the fill ring that the kernel refused.",
		queue: func(q *Queue) float64 { return float64(q.Kernel.RxInvalidDescs) }},

	{Metric: "xrx_fill_level_frames", JSON: "fill.level", Text: "fill ring", Layer: layerFill, Kind: Gauge,
		Help:  "Frames that wait in the fill ring for the kernel.",
		queue: func(q *Queue) float64 { return float64(q.FillLevel) }},
	{Metric: "xrx_fill_size_frames", JSON: "fill.size", Text: "fill ring", Layer: layerFill, Kind: Gauge,
		Help:  "Frames that should wait in it, at most.",
		queue: func(q *Queue) float64 { return float64(q.FillSize) }},
	{Metric: "xrx_fill_posted_frames_total", JSON: "fill.posted", Layer: layerFill,
		Help:  "Frames given to the kernel.",
		queue: func(q *Queue) float64 { return float64(q.FillPosted) }},
	{Metric: "xrx_fill_empty_total", JSON: "fill.empty", Text: "fill ring", Layer: layerFill,
		Help:  "Times that the fill ring was found empty: xrx refilled too late.",
		queue: func(q *Queue) float64 { return float64(q.FillEmpty) }},
	{Metric: "xrx_fill_short_total", JSON: "fill.short", Text: "fill ring", Layer: layerFill,
		Help:  "Spells without a free frame to refill with: consumers had them.",
		queue: func(q *Queue) float64 { return float64(q.FillShort) }},

	{Metric: "xrx_rx_packets_total", JSON: "rx.packets", Text: "received", Layer: layerQueue,
		Help:  "Packets taken off the rx ring.",
		queue: func(q *Queue) float64 { return float64(q.Packets) }},
	{Metric: "xrx_rx_bytes_total", JSON: "rx.bytes", Text: "received", Layer: layerQueue,
		Help:  "Bytes of packets taken off the rx ring, from the Ethernet header on, without FCS.",
		queue: func(q *Queue) float64 { return float64(q.Bytes) }},
	{Metric: "xrx_rx_level_packets", JSON: "rx_level", Layer: layerQueue, Kind: Gauge,
		Help:  "Packets that wait in the rx ring.",
		queue: func(q *Queue) float64 { return float64(q.RxLevel) }},
	{Metric: "xrx_queue_polls_total", JSON: "polls", Text: "batch", Layer: layerQueue,
		Help:  "Polls that found packets.",
		queue: func(q *Queue) float64 { return float64(q.Polls) }},
	{Metric: "xrx_queue_squeezes_total", JSON: "squeezes", Text: "batch", Layer: layerQueue,
		Help:  "Polls that used up their budget.",
		queue: func(q *Queue) float64 { return float64(q.Squeezes) }},
	{Metric: "xrx_queue_sleeps_total", JSON: "sleeps", Text: "batch", Layer: layerQueue,
		Help:  "System calls that waited for packets. Of a thread that has several queues, counted with its first.",
		queue: func(q *Queue) float64 { return float64(q.Sleeps) }},
	{Metric: "xrx_queue_wakeups_total", JSON: "wakeups", Text: "batch", Layer: layerQueue,
		Help:  "System calls that told the driver about new frames.",
		queue: func(q *Queue) float64 { return float64(q.Wakeups) }},
	{Metric: "xrx_queue_gather_seconds", JSON: "gather_s", Layer: layerQueue, Kind: Gauge,
		Help:  "Longest sleep while packets come fast, so that more are taken at once; 0: none.",
		queue: func(q *Queue) float64 { return q.Gather.Seconds() }},
	{Metric: "xrx_queue_drops_total", Label: "reason", JSON: "drops", Text: "dropped", Layer: layerUmem,
		Help:   "Packets that xrx itself dropped, by reason.",
		queues: func(q *Queue) map[string]uint64 { return q.Drops }},

	{Metric: "xrx_gro_in_packets_total", JSON: "gro.in", Text: "gro", Layer: layerGRO,
		Help:  "Packets into GRO; 0 when it is off.",
		queue: func(q *Queue) float64 { return float64(q.GROIn) }},
	{Metric: "xrx_gro_out_packets_total", JSON: "gro.out", Text: "gro", Layer: layerGRO,
		Help:  "Packets out of GRO, merged or not.",
		queue: func(q *Queue) float64 { return float64(q.GROOut) }},
	{Metric: "xrx_gro_reasons_total", Label: "reason", JSON: "gro.reasons", Text: "gro", Layer: layerGRO,
		Help:   "Times that a packet was not merged, or not any further, by reason.",
		queues: func(q *Queue) map[string]uint64 { return q.GRO }},

	{Metric: "xrx_delivered_packets_total", JSON: "delivered.packets", Text: "delivered", Layer: layerQueue,
		Help:  "Packets handed to the consumer, as GRO made them.",
		queue: func(q *Queue) float64 { return float64(q.OutPackets) }},
	{Metric: "xrx_delivered_segments_total", JSON: "delivered.segments", Text: "delivered", Layer: layerQueue,
		Help:  "Packets handed to the consumer, as they were on the wire.",
		queue: func(q *Queue) float64 { return float64(q.OutSegments) }},
	{Metric: "xrx_delivered_bytes_total", JSON: "delivered.bytes", Text: "delivered", Layer: layerQueue,
		Help:  "Bytes handed to the consumer, as GRO made the packets.",
		queue: func(q *Queue) float64 { return float64(q.OutBytes) }},

	{Metric: "xrx_consumer_packets_total", Label: "consumer", JSON: "consumers.packets", Text: "handlers", Layer: layerMux,
		Help:   "Packets that a Mux gave to its handlers, by handler; unclaimed are those that no handler asked for.",
		queues: func(q *Queue) map[string]uint64 { return q.Handled }},
	{Metric: "xrx_tap_missed_packets_total", Label: "tap", JSON: "consumers.missed", Text: "taps", Layer: layerMux,
		Help:   "Packets that a tap could not keep because it was at its limit.",
		wholes: func(s *Snapshot) map[string]uint64 { return s.Missed }},
	{Metric: "xrx_tap_kept_frames", Label: "tap", JSON: "consumers.kept", Text: "taps", Layer: layerMux, Kind: Gauge,
		Help:   "Frames that a tap keeps.",
		wholes: func(s *Snapshot) map[string]uint64 { return s.Kept }},
	{Metric: "xrx_consumer_panics_total", Label: "consumer", JSON: "consumers.panics", Text: "panics", Layer: layerGuard,
		Help:   "Panics of consumers that were caught, by the consumer's name. The packets that they cost are in drops.",
		queues: func(q *Queue) map[string]uint64 { return q.Panics }},

	{Metric: "xrx_tx_packets_total", JSON: "tx.packets", Text: "forwarded", Layer: layerTx,
		Help:  "Packets posted to the tx ring, as they go on the wire. Those that the driver did not send are drops with reason tx_refused.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Packets) }},
	{Metric: "xrx_tx_bytes_total", JSON: "tx.bytes", Text: "forwarded", Layer: layerTx,
		Help:  "Bytes of packets posted to the tx ring, from the Ethernet header on.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Bytes) }},
	{Metric: "xrx_tx_completed_frames_total", JSON: "tx.completed", Text: "forwarded", Layer: layerTx,
		Help:  "Frames that the kernel gave back when it had sent them.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Completed) }},
	{Metric: "xrx_tx_kicks_total", JSON: "tx.kicks", Text: "forwarded", Layer: layerTx,
		Help:  "System calls that made the kernel send.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Kicks) }},
	{Metric: "xrx_tx_checksums_total", JSON: "tx.checksums", Text: "forwarded", Layer: layerTx,
		Help:  "Checksums completed that a local sender had left partial.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Checksums) }},
	{Metric: "xrx_tx_vlan_tags_total", JSON: "tx.tags", Text: "forwarded", Layer: layerTx,
		Help:  "VLAN tags put back that the device had taken off.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Tags) }},
	{Metric: "xrx_kernel_tx_invalid_descs_total", JSON: "tx.invalid_descs", Text: "forwarded", Layer: layerKernel,
		Help:  "Descriptors in the tx ring that the kernel refused.",
		queue: func(q *Queue) float64 { return float64(q.Tx.Invalid) }},
	{Metric: "xrx_tx_completion_faults_total", Label: "reason", JSON: "tx.faults", Text: "forwarded", Layer: layerUmem,
		Help:   "Completions that can't be right, by reason. Must be 0.",
		queues: func(q *Queue) map[string]uint64 { return q.Tx.Faults }},

	{Metric: "xrx_worker_packets_total", JSON: "packets", Text: "workers", Layer: layerSteer,
		Help:   "Packets handed to the consumer on this worker, as GRO made them. With workers, the queues' delivered packets are theirs.",
		worker: func(w *Worker) float64 { return float64(w.Packets) }},
	{Metric: "xrx_worker_segments_total", JSON: "segments", Text: "workers", Layer: layerSteer,
		Help:   "Packets handed to the consumer on this worker, as they were on the wire.",
		worker: func(w *Worker) float64 { return float64(w.Segments) }},
	{Metric: "xrx_worker_bytes_total", JSON: "bytes", Text: "workers", Layer: layerSteer,
		Help:   "Bytes handed to the consumer on this worker, as GRO made the packets.",
		worker: func(w *Worker) float64 { return float64(w.Bytes) }},
	{Metric: "xrx_worker_backlog_packets", JSON: "backlog", Text: "workers", Layer: layerSteer, Kind: Gauge,
		Help:   "Packets that wait for the worker or are in its hands, of all queues.",
		worker: func(w *Worker) float64 { return float64(w.Backlog) }},
	{Metric: "xrx_worker_backlog_highest_packets", JSON: "high_water", Text: "workers", Layer: layerSteer, Kind: Gauge,
		Help:   "The most packets of one queue that ever waited for the worker at once.",
		worker: func(w *Worker) float64 { return float64(w.HighWater) }},
	{Metric: "xrx_worker_held_frames", JSON: "held", Text: "workers", Layer: layerSteer, Kind: Gauge,
		Help:   "Frames charged to the worker: in its backlogs, in its hands, retained beyond that, or on the way home.",
		worker: func(w *Worker) float64 { return float64(w.Held) }},
	{Metric: "xrx_worker_drops_total", Label: "reason", JSON: "drops", Text: "workers", Layer: layerSteer,
		Help:    "Packets dropped for this worker, by reason: backlog_full, quota, close_timeout. They are among the queue's drops too.",
		workers: func(w *Worker) map[string]uint64 { return w.Drops }},

	{Metric: "xrx_ledger_size_frames", JSON: "ledger.total", Text: "frames", Layer: layerLedger, Kind: Gauge,
		Help:  "Frames that there are.",
		queue: func(q *Queue) float64 { return float64(q.Ledger.Total) }},
	inState("free", func(q *Queue) int { return q.Ledger.Free }),
	inState("filling", func(q *Queue) int { return q.Ledger.Filling }),
	inState("received", func(q *Queue) int { return q.Ledger.Received }),
	inState("held", func(q *Queue) int { return q.Ledger.Held }),
	inState("delivered", func(q *Queue) int { return q.Ledger.Delivered }),
	inState("sending", func(q *Queue) int { return q.Ledger.Sending }),
	inState("lost", func(q *Queue) int { return q.Ledger.Lost }),

	{Metric: "xrx_process_cpu_seconds_total", Label: "mode", Value: "user", JSON: "cpu.user_s", Text: "processor", Layer: layerOS, Help: cpuHelp,
		whole: func(s *Snapshot) float64 { return s.CPU.User.Seconds() }},
	{Metric: "xrx_process_cpu_seconds_total", Label: "mode", Value: "system", JSON: "cpu.sys_s", Text: "processor", Layer: layerOS, Help: cpuHelp,
		whole: func(s *Snapshot) float64 { return s.CPU.Sys.Seconds() }},
	ofThread("user", "cpu.user_s", func(c CPU) time.Duration { return c.User }),
	ofThread("system", "cpu.sys_s", func(c CPU) time.Duration { return c.Sys }),
}

func inState(state string, f func(*Queue) int) Desc {
	return Desc{Metric: "xrx_ledger_frames", Label: "state", Value: state, JSON: "ledger." + state, Text: "frames", Layer: layerLedger, Kind: Gauge, Help: ledgerHelp,
		queue: func(q *Queue) float64 { return float64(f(q)) }}
}

func ofThread(mode, json string, f func(CPU) time.Duration) Desc {
	return Desc{Metric: "xrx_queue_cpu_seconds_total", Label: "mode", Value: mode, JSON: json, Layer: layerOS, Help: threadHelp,
		queue: func(q *Queue) float64 { return f(q.CPU).Seconds() }}
}

// onlyBelowQueues are the fields that a JSON line does not sum up at its top. (cpu there is the process's own.)
var onlyBelowQueues = map[string]bool{"polls": true, "squeezes": true, "sleeps": true, "wakeups": true, "gather_s": true, "rx_level": true,
	"fill.level": true, "fill.size": true, "fill.posted": true, "fill.empty": true, "fill.short": true, "cpu.user_s": true, "cpu.sys_s": true}

// Derived is a number of a JSON line that is calculated from counters, and how Prometheus calculates it.
type Derived struct{ JSON, Query string }

// Calculated are the numbers of a JSON line that no metric has: Prometheus makes them from those that it has.
var Calculated = []Derived{
	{"rx.pps", "rate(xrx_rx_packets_total[1m])"},
	{"rx.bps", "8 * rate(xrx_rx_bytes_total[1m])"},
	{"cpu.ns_per_packet", "1e9 * sum(rate(xrx_process_cpu_seconds_total[1m])) / sum(rate(xrx_rx_packets_total[1m]))"},
	{"queues[].cpu.ns_per_packet", "1e9 * sum by (queue) (rate(xrx_queue_cpu_seconds_total[1m])) / on (queue) rate(xrx_rx_packets_total[1m])"},
	{"queues[].batch", "rate(xrx_rx_packets_total[1m]) / rate(xrx_queue_polls_total[1m])"},
	{"elapsed_s", "time() - xrx_start_time_seconds"},
	{"interval_s", "the range in brackets of a query"},
}
