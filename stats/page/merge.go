package page

import (
	"maps"
	"slices"

	"xrx/stats"
)

// merge sums up reports that follow each other: levels are the last one's, rates those of the whole time.
func merge(list []stats.Report) stats.Report {
	m := list[len(list)-1]
	m.Drops, m.XDP, m.GRO.Reasons = map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	m.Latency = nil
	m.Interval, m.Rx, m.Delivered, m.Kernel, m.CPU = 0, stats.Rx{}, stats.Delivered{}, stats.Kernel{}, stats.CPUReport{}
	m.GRO.In, m.GRO.Out, m.Queues, m.Workers, m.Consumers = 0, 0, nil, nil, stats.Consumers{}
	queues := map[int]int{} // number to place
	for _, r := range list {
		m.Interval += r.Interval
		m.Latency = m.Latency.Worst(r.Latency)
		rx(&m.Rx, r.Rx)
		delivered(&m.Delivered, r.Delivered)
		kernel(&m.Kernel, r.Kernel)
		m.CPU.User += r.CPU.User
		m.CPU.Sys += r.CPU.Sys
		m.GRO.In += r.GRO.In
		m.GRO.Out += r.GRO.Out
		add(m.Drops, r.Drops)
		add(m.XDP, r.XDP)
		m.Consumers.Add(r.Consumers)
		add(m.GRO.Reasons, r.GRO.Reasons)
		for _, q := range r.Queues {
			i, ok := queues[q.Queue]
			if !ok {
				i = len(m.Queues)
				queues[q.Queue] = i
				m.Queues = append(m.Queues, stats.QueueReport{Queue: q.Queue, Drops: map[string]uint64{}})
			}
			queue(&m.Queues[i], q)
		}
		for _, w := range r.Workers {
			i := slices.IndexFunc(m.Workers, func(o stats.WorkerReport) bool { return o.Worker == w.Worker })
			if i < 0 {
				i = len(m.Workers)
				m.Workers = append(m.Workers, stats.WorkerReport{Worker: w.Worker, Drops: map[string]uint64{}})
			}
			worker(&m.Workers[i], w)
		}
	}
	rates(&m.Rx, m.Interval)
	perPacket(&m.CPU, m.Rx.Packets)
	for i := range m.Queues {
		q := &m.Queues[i]
		rates(&q.Rx, m.Interval)
		perPacket(&q.CPU, q.Rx.Packets)
		q.Batch = ratio(float64(q.Rx.Packets), float64(q.Polls))
	}
	return m
}

func queue(m *stats.QueueReport, q stats.QueueReport) {
	rx(&m.Rx, q.Rx)
	delivered(&m.Delivered, q.Delivered)
	kernel(&m.Kernel, q.Kernel)
	m.GRO.In += q.GRO.In
	m.GRO.Out += q.GRO.Out
	m.Polls += q.Polls
	m.Squeezes += q.Squeezes
	m.Sleeps += q.Sleeps
	m.Wakeups += q.Wakeups
	m.Fill.Level, m.Fill.Size = q.Fill.Level, q.Fill.Size
	m.Fill.Posted += q.Fill.Posted
	m.Fill.Empty += q.Fill.Empty
	m.Fill.Short += q.Fill.Short
	m.RxLevel, m.Ledger = q.RxLevel, q.Ledger
	m.CPU.User += q.CPU.User
	m.CPU.Sys += q.CPU.Sys
	add(m.Drops, q.Drops)
	m.Consumers.Add(q.Consumers)
}

func worker(m *stats.WorkerReport, w stats.WorkerReport) {
	m.Packets += w.Packets
	m.Segments += w.Segments
	m.Bytes += w.Bytes
	m.Backlog, m.Held = w.Backlog, w.Held
	m.HighWater = max(m.HighWater, w.HighWater)
	add(m.Drops, w.Drops)
}

func rx(m *stats.Rx, r stats.Rx) {
	m.Packets += r.Packets
	m.Bytes += r.Bytes
}

func delivered(m *stats.Delivered, d stats.Delivered) {
	m.Packets += d.Packets
	m.Segments += d.Segments
	m.Bytes += d.Bytes
}

func kernel(m *stats.Kernel, k stats.Kernel) {
	m.RxDropped += k.RxDropped
	m.RxInvalidDescs += k.RxInvalidDescs
	m.RxRingFull += k.RxRingFull
	m.RxFillRingEmptyDescs += k.RxFillRingEmptyDescs
}

func add(m, n map[string]uint64) {
	for k, v := range n {
		m[k] += v
	}
}

func rates(r *stats.Rx, seconds float64) {
	r.PPS, r.BPS = ratio(float64(r.Packets), seconds), ratio(8*float64(r.Bytes), seconds)
}

func perPacket(c *stats.CPUReport, packets uint64) {
	c.NsPerPacket = ratio(1e9*(c.User+c.Sys), float64(packets))
}

// ratio is 0 where there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// losses are the packets that were lost, by reason, whoever dropped them.
func losses(drops map[string]uint64, k stats.Kernel) map[string]uint64 {
	m := maps.Clone(drops)
	if m == nil {
		m = map[string]uint64{}
	}
	for reason, n := range map[string]uint64{"rx_dropped": k.RxDropped, "rx_ring_full": k.RxRingFull} {
		if n > 0 {
			m[reason] += n
		}
	}
	return m
}
