package testnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/vethnet"
)

const readTimeout = 2 * time.Second

func TestFramesArriveAsSent(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	r := n.Reader(n.B)
	var sent [][]byte
	for size := frames.MinSize; size <= 1514; size += 7 {
		f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), bytes.Repeat([]byte{byte(size)}, size-42))
		f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
		sent = append(sent, f.Append(nil))
	}
	n.Sender().Send(sent...)
	for i, want := range sent {
		p, err := r.Read(readTimeout)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if !bytes.Equal(p.Data, want) {
			t.Fatalf("frame %d:\n got %x\nwant %x", i, p.Data, want)
		}
		if p.Flags&afpacket.VnetNeedsChecksum != 0 || p.GSOSize != 0 {
			t.Fatalf("frame %d: header %+v", i, p.VnetHeader)
		}
	}
	if p, err := r.Read(20 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one more: %x, %v", p.Data, err)
	}
}

func TestStrippedVLANTagsAreReported(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	r := n.Reader(n.B)
	f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), make([]byte, 30))
	f.SrcMAC, f.DstMAC, f.VLANs = n.A.MAC, n.B.MAC, []frames.VLAN{{TCI: 0xa123}}
	n.Sender().Send(f.Append(nil))
	p, err := r.Read(readTimeout)
	if err != nil {
		t.Fatal(err)
	}
	f.VLANs = nil
	if !p.HasVLAN || p.VLAN != 0xa123 || p.TPID != frames.TypeVLAN || !bytes.Equal(p.Data, f.Append(nil)) {
		t.Errorf("got %+v", p)
	}
}

func TestPacedFramesTakeTheirTime(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	r := n.Reader(n.B)
	f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), make([]byte, 30))
	batch := make([][]byte, 2000)
	for i := range batch {
		batch[i] = f.Append(nil)
	}
	start := time.Now()
	n.Sender().SendPaced(batch, 10_000)
	if d := time.Since(start); d < 195*time.Millisecond {
		t.Errorf("2000 frames at 10000/s took %v", d)
	}
	for i := range batch {
		if _, err := r.Read(readTimeout); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	if d, err := r.Drops(); err != nil || d != 0 {
		t.Errorf("drops %d, %v", d, err)
	}
}

func TestSenderReportsAnInterfaceThatIsDown(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	s := n.Sender()
	if err := n.A.Down(); err != nil {
		t.Fatal(err)
	}
	if sent, err := s.Sender.Send([][]byte{make([]byte, 60)}); err == nil || sent != 0 {
		t.Errorf("Send on a downed interface: %d, %v", sent, err)
	}
}

// TestKernelMergesAStream is the oracle that GRO tests compare with: the
// kernel's own GRO on b0, seen through the virtio-net header.
func TestKernelMergesAStream(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	n.EnableKernelGRO()
	r := n.Reader(n.B)
	s := n.Sender()
	const segments, size = 20, 1448
	var merged bool
	for attempt := 0; attempt < 5 && !merged; attempt++ {
		var batch [][]byte
		for i := range segments {
			f := frames.TCP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), uint32(i*size), make([]byte, size))
			f.SrcMAC, f.DstMAC, f.ID, f.Fragment = n.A.MAC, n.B.MAC, uint16(i), 0x4000
			batch = append(batch, f.Append(nil))
		}
		s.Send(batch...)
		for got := 0; got < segments*size; {
			p, err := r.Read(readTimeout)
			if err != nil {
				t.Fatal(err)
			}
			payload := int(binary.BigEndian.Uint16(p.Data[16:])) - 40
			got += payload
			merged = merged || payload == segments*size && p.GSOSize == size && p.GSOType == afpacket.GSOTCPv4
		}
	}
	if !merged {
		t.Error("five bursts of 20 segments: none was merged into one")
	}
}

func TestOffloadedChecksumsAndSegmentsAreSentOnRequest(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	// A veth with tx checksum on hands the partial checksum over as it is.
	if err := n.A.SetOffload(vethnet.TxChecksum, true); err != nil {
		t.Fatal(err)
	}
	r := n.Reader(n.B)
	f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), make([]byte, 30))
	f.PartialChecksum = true
	header := []byte{afpacket.VnetNeedsChecksum, 0, 0, 0, 0, 0}
	header = binary.NativeEndian.AppendUint16(header, 34)
	header = binary.NativeEndian.AppendUint16(header, 6)
	frame := f.Append(header)
	n.SenderWith(afpacket.SenderOptions{VnetHeader: true}).Send(frame)
	p, err := r.Read(readTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if p.Flags&afpacket.VnetNeedsChecksum == 0 || !bytes.Equal(p.Data, frame[afpacket.VnetHeaderSize:]) {
		t.Errorf("got %+v", p)
	}
}
