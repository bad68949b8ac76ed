package netdev

import (
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Commands and attributes of the family ethtool, include/uapi/linux/ethtool_netlink.h at v6.18.
const (
	ethChannelsGet = 17
	ethChannelsSet = 18
	ethCoalesceGet = 19
	ethCoalesceSet = 20

	ethHeader      = 1 // in each request
	ethHeaderIndex = 1 // in it

	ethChannelsRxMax = 2 // and tx, other, combined; then the four counts
	ethChannelsRx    = 6
)

// Attributes of coalescing that can be set: microseconds, frames, and 0 or 1.
const (
	CoalesceRxUsecs    = 2
	CoalesceRxFrames   = 3
	CoalesceAdaptiveRx = 11
)

func (d *Device) eth(command uint8, attrs ...*nl.RtAttr) ([][]attribute, error) {
	header := nl.NewRtAttr(ethHeader|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(ethHeaderIndex, nl.Uint32Attr(uint32(d.Index)))
	return d.genl.ask("ethtool", command, 0, append([]*nl.RtAttr{header}, attrs...)...)
}

// Coalesce reads one of the attributes above; EOPNOTSUPP if the driver has not got it.
func (d *Device) Coalesce(attr int) (uint32, error) {
	messages, err := d.eth(ethCoalesceGet)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		for _, a := range m {
			if int(a.Attr.Type) == attr {
				return uint32(number(a.Value)), nil
			}
		}
	}
	return 0, fmt.Errorf("%w: the driver has other coalescing, but not this", syscall.EOPNOTSUPP)
}

// SetCoalesce writes one of them.
func (d *Device) SetCoalesce(attr int, value uint32) error {
	data := nl.Uint32Attr(value)
	if attr == CoalesceAdaptiveRx {
		data = []byte{byte(value)}
	}
	_, err := d.eth(ethCoalesceSet, nl.NewRtAttr(attr, data))
	return err
}

// ChannelCounts are numbers of channels, and how many there may be: a channel has an interrupt, and an rx queue, a tx
// queue or (combined) one of each.
type ChannelCounts struct {
	Rx          int `json:"rx"`
	Tx          int `json:"tx"`
	Other       int `json:"other,omitempty"`
	Combined    int `json:"combined"`
	MaxRx       int `json:"max_rx"`
	MaxTx       int `json:"max_tx"`
	MaxOther    int `json:"max_other,omitempty"`
	MaxCombined int `json:"max_combined"`
}

// Channels reads them.
func (d *Device) Channels() (c ChannelCounts, err error) {
	messages, err := d.eth(ethChannelsGet)
	if err != nil {
		return c, err
	}
	fields := []*int{&c.MaxRx, &c.MaxTx, &c.MaxOther, &c.MaxCombined, &c.Rx, &c.Tx, &c.Other, &c.Combined}
	for _, m := range messages {
		for _, a := range m {
			if n := int(a.Attr.Type) - ethChannelsRxMax; n >= 0 && n < len(fields) {
				*fields[n] = int(number(a.Value))
			}
		}
	}
	return c, nil
}

// SetChannels sets the numbers of those kinds that the driver has any of.
func (d *Device) SetChannels(c ChannelCounts) error {
	var attrs []*nl.RtAttr
	for i, n := range []struct{ count, most int }{{c.Rx, c.MaxRx}, {c.Tx, c.MaxTx}, {c.Other, c.MaxOther}, {c.Combined, c.MaxCombined}} {
		if n.most > 0 || n.count > 0 {
			attrs = append(attrs, nl.NewRtAttr(ethChannelsRx+i, nl.Uint32Attr(uint32(n.count))))
		}
	}
	_, err := d.eth(ethChannelsSet, attrs...)
	return err
}
