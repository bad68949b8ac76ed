package stats

// Tx is what was sent, where packets are forwarded: all 0 elsewhere. Counted since the receiver was opened, or over a
// report's time.
type Tx struct {
	Packets   uint64            `json:"packets"`          // posted to the tx ring, as they go on the wire; drops.tx_refused of them were not sent
	Bytes     uint64            `json:"bytes"`            // from the Ethernet header on
	Completed uint64            `json:"completed"`        // frames that the kernel gave back when it had sent them
	Kicks     uint64            `json:"kicks"`            // system calls to send
	Checksums uint64            `json:"checksums"`        // partial checksums completed
	Tags      uint64            `json:"tags"`             // VLAN tags put back that the device had taken off
	Invalid   uint64            `json:"invalid_descs"`    // tx descriptors that the kernel refused
	Faults    map[string]uint64 `json:"faults,omitempty"` // completions that can't be right, by reason
}

func (t Tx) sub(o Tx) Tx {
	return Tx{t.Packets - o.Packets, t.Bytes - o.Bytes, t.Completed - o.Completed, t.Kicks - o.Kicks, t.Checksums - o.Checksums, t.Tags - o.Tags,
		since(t.Invalid, o.Invalid), diff(t.Faults, o.Faults)}
}

func (t *Tx) add(o Tx) {
	t.Packets += o.Packets
	t.Bytes += o.Bytes
	t.Completed += o.Completed
	t.Kicks += o.Kicks
	t.Checksums += o.Checksums
	t.Tags += o.Tags
	t.Invalid += o.Invalid
	sum(&t.Faults, o.Faults)
}

// text describes t for people, as two lines.
func (t Tx) text() (what, changed string) {
	return Count(t.Packets) + " packets, " + Count(t.Bytes) + " bytes, " + Count(t.Completed) + " frames came back, " + Count(t.Kicks) + " system calls",
		Count(t.Checksums) + " checksums completed, " + Count(t.Tags) + " VLAN tags put back, " + Count(t.Invalid) + " descriptors refused by the kernel" + bracket(reasons(t.Faults))
}
