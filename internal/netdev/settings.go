package netdev

import (
	"fmt"
	"slices"

	"github.com/safchain/ethtool"
)

// Settings are an interface's ethtool settings, read and never written. What the driver doesn't tell is left zero.
type Settings struct {
	Offloads map[string]Offload // by the kernel's names, as "rx-gro-hw" (ETHTOOL_GSTRINGS of ETH_SS_FEATURES)
	Channels Channels
	Coalesce *Coalesce // nil where the driver has none
	RSS      []int     // the indirection table: the rx queue of each hash bucket; nil where the driver has none
}

// Offload is the state of one offload.
type Offload struct {
	On    bool
	Fixed bool // can't be changed
}

// Channels are the numbers of queues, now and at most (ethtool -l); separate rx queues and combined ones added.
type Channels struct{ Rx, MaxRx, Tx, MaxTx int }

// Coalesce says how long an interrupt is held back (ethtool -c).
type Coalesce struct {
	Adaptive bool // the driver chooses by itself
	RxUsecs  int  // microseconds
	RxFrames int
}

// GetSettings asks by ethtool; the error says that not even the offloads could be read.
func GetSettings(name string) (Settings, error) {
	var s Settings
	e, err := ethtool.NewEthtool()
	if err != nil {
		return s, fmt.Errorf("ethtool: %w", err)
	}
	defer e.Close()
	features, err := e.FeaturesWithState(name)
	if err != nil {
		return s, fmt.Errorf("ethtool -k %s: %w", name, err)
	}
	s.Offloads = make(map[string]Offload, len(features))
	for name, f := range features {
		s.Offloads[name] = Offload{On: f.Active, Fixed: !f.Available || f.NeverChanged}
	}
	if c, err := e.GetChannels(name); err == nil {
		s.Channels = Channels{Rx: int(c.RxCount + c.CombinedCount), MaxRx: int(c.MaxRx + c.MaxCombined),
			Tx: int(c.TxCount + c.CombinedCount), MaxTx: int(c.MaxTx + c.MaxCombined)}
	}
	if c, err := e.GetCoalesce(name); err == nil {
		s.Coalesce = &Coalesce{Adaptive: c.UseAdaptiveRxCoalesce != 0, RxUsecs: int(c.RxCoalesceUsecs), RxFrames: int(c.RxMaxCoalescedFrames)}
	}
	if t, err := e.GetIndir(name); err == nil && t.Size > 0 && int(t.Size) <= len(t.RingIndex) {
		for _, queue := range t.RingIndex[:t.Size] {
			s.RSS = append(s.RSS, int(queue))
		}
	}
	return s, nil
}

// Reached lists the queues that the RSS table leads to, in order.
func (s Settings) Reached() []int {
	queues := slices.Clone(s.RSS)
	slices.Sort(queues)
	return slices.Compact(queues)
}
