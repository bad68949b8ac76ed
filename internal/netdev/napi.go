package netdev

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Commands and attributes of the family netdev that concern NAPI, include/uapi/linux/netdev.h at v6.18.
const (
	cmdNAPIGet = 11
	cmdNAPISet = 14 // since 6.13

	queueNAPI = 4

	napiIfindex = 1
	napiID      = 2
)

// Attributes of a NAPI that can be set.
const (
	NAPIDeferHardIRQs   = 5
	NAPIGROFlushTimeout = 6 // ns
	NAPIThreaded        = 8 // since 6.17
)

// ErrNoNAPI says that a queue has none: the driver has none now, or does not tell which is whose.
var ErrNoNAPI = errors.New("the queue has no NAPI that the kernel tells of")

// QueueNAPI returns the id of the NAPI that polls an rx queue.
func (d *Device) QueueNAPI(queue int) (uint32, error) {
	messages, err := d.genl.ask("netdev", cmdQueueGet, 0, nl.NewRtAttr(queueIfindex, nl.Uint32Attr(uint32(d.Index))),
		nl.NewRtAttr(queueType, nl.Uint32Attr(0)), nl.NewRtAttr(queueID, nl.Uint32Attr(uint32(queue))))
	if errors.Is(err, syscall.ENOENT) {
		return 0, fmt.Errorf("%w: %w", ErrNoNAPI, err)
	}
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		for _, a := range m {
			if a.Attr.Type == queueNAPI {
				return uint32(number(a.Value)), nil
			}
		}
	}
	return 0, ErrNoNAPI
}

// NAPI reads one of the attributes above; EOPNOTSUPP if the kernel doesn't know it.
func (d *Device) NAPI(id uint32, attr int) (uint64, error) {
	messages, err := d.genl.ask("netdev", cmdNAPIGet, 0, nl.NewRtAttr(napiID, nl.Uint32Attr(id)))
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		for _, a := range m {
			if int(a.Attr.Type) == attr {
				return number(a.Value), nil
			}
		}
	}
	return 0, fmt.Errorf("%w: the kernel sets it for all of a device only", syscall.EOPNOTSUPP)
}

// SetNAPI writes one of them.
func (d *Device) SetNAPI(id uint32, attr int, value uint64) error {
	data := nl.Uint32Attr(uint32(value))
	if attr == NAPIGROFlushTimeout && value > 1<<32-1 {
		data = nl.Uint64Attr(value)
	}
	_, err := d.genl.ask("netdev", cmdNAPISet, 0, nl.NewRtAttr(napiID, nl.Uint32Attr(id)), nl.NewRtAttr(attr, data))
	return err
}

// NAPIs lists the ids of the interface's NAPIs.
func (d *Device) NAPIs() (ids []uint32, err error) {
	messages, err := d.genl.ask("netdev", cmdNAPIGet, unix.NLM_F_DUMP, nl.NewRtAttr(napiIfindex, nl.Uint32Attr(uint32(d.Index))))
	for _, m := range messages {
		for _, a := range m {
			if a.Attr.Type == napiID {
				ids = append(ids, uint32(number(a.Value)))
			}
		}
	}
	return ids, err
}
