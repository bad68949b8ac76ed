package flows

import (
	"encoding/json"
	"io"
	"net/netip"
	"strconv"
	"time"
)

// Reason says why there is a record.
type Reason uint8

const (
	Interval Reason = iota // it goes on
	Idle                   // silent for Config.Idle
	Fin                    // closed
	Rst                    // reset
	Evicted                // another one needed its place
	End                    // the table ends
)

var reasonNames = [...]string{"interval", "idle", "fin", "rst", "evicted", "end"}

func (r Reason) String() string { return reasonNames[r] }

// MarshalText makes it a word in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Flags are TCP flags, of all packets of a flow together.
type Flags uint8

func (f Flags) String() string {
	b := make([]byte, 0, 8)
	for i, c := range []byte("FSRPAUEC") { // FIN SYN RST PSH ACK URG ECE CWR
		if f>>i&1 != 0 {
			b = append(b, c)
		}
	}
	return string(b)
}

// MarshalText makes them letters in JSON: FSRPAUEC.
func (f Flags) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Proto is an IP protocol.
type Proto uint8

var protoNames = map[Proto]string{1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmp6", 89: "ospf", 132: "sctp"}

func (p Proto) String() string {
	if name := protoNames[p]; name != "" {
		return name
	}
	return strconv.Itoa(int(p))
}

// MarshalText makes it a name in JSON, or the number as a word.
func (p Proto) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Record is a flow, or what a flow brought since its last record. As JSON it is one flow record.
type Record struct {
	Reason Reason         `json:"reason"`
	Proto  Proto          `json:"proto"`
	Src    netip.AddrPort `json:"-"`
	Dst    netip.AddrPort `json:"-"`
	VLAN   uint16         `json:"vlan,omitempty"` // id of the outermost tag; 0: none
	First  time.Time      `json:"first"`          // the flow's first packet
	Last   time.Time      `json:"last"`           // its last one
	Flags  Flags          `json:"flags,omitempty"`
	Queue  int            `json:"queue"` // rx queue
	Counts
}

// MarshalJSON makes one object without line breaks.
func (r *Record) MarshalJSON() ([]byte, error) {
	type plain Record // without this method
	return json.Marshal(struct {
		Type  string     `json:"type"`
		IP    int        `json:"ip"`
		Src   netip.Addr `json:"src"`
		Sport uint16     `json:"sport"`
		Dst   netip.Addr `json:"dst"`
		Dport uint16     `json:"dport"`
		*plain
	}{"flow", version(r.Src.Addr()), r.Src.Addr(), r.Src.Port(), r.Dst.Addr(), r.Dst.Port(), (*plain)(r)})
}

// WriteTo writes the record as JSON, one line.
func (r *Record) WriteTo(w io.Writer) (int64, error) {
	b, err := r.MarshalJSON()
	if err != nil {
		return 0, err
	}
	n, err := w.Write(append(b, '\n'))
	return int64(n), err
}

// record makes a record of a flow with some counts.
func (s *shard) record(f *flow, n Counts, why Reason) Record {
	return Record{Reason: why, Proto: Proto(f.key.proto), Src: f.key.from(), Dst: f.key.to(), VLAN: f.key.vlan,
		First: time.Unix(0, f.first).UTC(), Last: time.Unix(0, f.last).UTC(), Flags: Flags(f.flags), Queue: s.queue, Counts: n}
}

func version(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}
