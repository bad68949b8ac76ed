package stats

import "fmt"

// Worker is what one worker and the queues before it counted, over all queues.
type Worker struct {
	Worker                   int
	Packets, Segments, Bytes uint64            // handed to the consumer there
	Backlog, HighWater, Held int               // packets that wait or are being handled; most of one queue at once; frames that it has
	Drops                    map[string]uint64 // packets dropped for it, by reason; they are among the queues' drops too
}

// Why packets are dropped for a worker. A consumer without workers has a quota too, and only that.
const (
	BacklogFull  = "backlog_full"  // as many packets waited as may
	Quota        = "quota"         // it held as many frames as it may
	CloseTimeout = "close_timeout" // still waiting when Run did not wait any longer
)

// WorkerDrops are these reasons.
var WorkerDrops = []string{BacklogFull, Quota, CloseTimeout}

// Count adds to one reason of a worker's drops.
func (w *Worker) Count(reason string, n uint64) {
	if n == 0 {
		return
	}
	if w.Drops == nil {
		w.Drops = map[string]uint64{}
	}
	w.Drops[reason] += n
}

// WorkerReport is one worker's share: packets and drops over the report's time, the rest as it was at its end.
type WorkerReport struct {
	Worker    int               `json:"worker"`
	Packets   uint64            `json:"packets"`
	Segments  uint64            `json:"segments"`
	Bytes     uint64            `json:"bytes"`
	Backlog   int               `json:"backlog"`
	HighWater int               `json:"high_water"` // since the receiver was opened
	Held      int               `json:"held"`
	Drops     map[string]uint64 `json:"drops"`
}

func workerReport(w, old Worker) WorkerReport {
	return WorkerReport{Worker: w.Worker, Packets: w.Packets - old.Packets, Segments: w.Segments - old.Segments, Bytes: w.Bytes - old.Bytes,
		Backlog: w.Backlog, HighWater: w.HighWater, Held: w.Held, Drops: diff(w.Drops, old.Drops)}
}

// Dropped returns all packets that were dropped for the worker.
func (w WorkerReport) Dropped() (n uint64) {
	for _, v := range w.Drops {
		n += v
	}
	return n
}

func (w WorkerReport) String() string {
	return fmt.Sprintf("%d: %s packets that were %s on the wire, %s bytes; %s wait, at most %s; %s frames held; dropped %s%s", w.Worker, Count(w.Packets), Count(w.Segments), Count(w.Bytes),
		Count(uint64(w.Backlog)), Count(uint64(w.HighWater)), Count(uint64(w.Held)), Count(w.Dropped()), bracket(reasons(w.Drops)))
}
