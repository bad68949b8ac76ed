package netdev

import (
	"encoding/binary"
	"errors"
	"reflect"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
)

// nested builds IFLA_XDP as rtnl_xdp_fill does: how many programs there are, and their ids by attribute.
func nested(attached byte, ids ...[2]uint32) (b []byte) {
	b = append(b, nl.NewRtAttr(xdpAttached, []byte{attached}).Serialize()...)
	for _, id := range ids {
		b = append(b, nl.NewRtAttr(int(id[0]), nl.Uint32Attr(id[1])).Serialize()...)
	}
	return b
}

func TestProgramsOfEachModeAreRead(t *testing.T) {
	const several = 4
	for _, c := range []struct {
		name string
		data []byte
		want []XDPProgram
	}{
		{"none", nested(0), nil},
		{"native", nested(xdpInDriver, [2]uint32{xdpProgID, 7}, [2]uint32{xdpNativeID, 7}), []XDPProgram{{ID: 7, Mode: "native"}}},
		{"generic", nested(xdpInStack, [2]uint32{xdpProgID, 8}, [2]uint32{xdpGenericID, 8}), []XDPProgram{{ID: 8, Mode: "generic"}}},
		{"generic, of a kernel that gives one id", nested(xdpInStack, [2]uint32{xdpProgID, 8}), []XDPProgram{{ID: 8, Mode: "generic"}}},
		{"in hardware", nested(xdpInHardware, [2]uint32{xdpProgID, 9}), []XDPProgram{{ID: 9, Mode: "offload"}}},
		{"native and in hardware", nested(several, [2]uint32{xdpNativeID, 7}, [2]uint32{xdpOffloadID, 9}), []XDPProgram{{ID: 7, Mode: "native"}, {ID: 9, Mode: "offload"}}},
	} {
		if got, err := attachedPrograms(c.data); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestTheEndOfAnExchangeHasItsErrno(t *testing.T) {
	for n, want := range map[int32]error{0: nil, -int32(syscall.EINVAL): syscall.EINVAL, -int32(syscall.ENODEV): syscall.ENODEV, 3: nil} {
		if err := outcome(0, binary.NativeEndian.AppendUint32(nil, uint32(n))); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", n, err, want)
		}
	}
	if err := outcome(0, nil); err != nil {
		t.Errorf("no number: %v", err)
	}
}
