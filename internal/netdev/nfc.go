package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"
)

// Commands of ethtool that have no, or only of late a, counterpart in its netlink family: include/uapi/linux/ethtool.h
// at v6.18.
const (
	ethtoolGetFlags  = 0x25 // ETHTOOL_GFLAGS, struct ethtool_value
	ethtoolSetFlags  = 0x26
	ethtoolGetFields = 0x29 // ETHTOOL_GRXFH, struct ethtool_rxnfc, as the next
	ethtoolSetFields = 0x2a
	ethtoolRings     = 0x2d
	ethtoolRuleCount = 0x2e
	ethtoolRule      = 0x2f
	ethtoolRules     = 0x30
	ethtoolDelRule   = 0x31
	ethtoolAddRule   = 0x32
	ethtoolGetRSS    = 0x46 // ETHTOOL_GRSSH, struct ethtool_rxfh
	ethtoolSetRSS    = 0x47

	flagNTuple = 1 << 27 // ETH_FLAG_NTUPLE
)

// struct ethtool_rxnfc on 64-bit machines, in bytes: cmd, flow_type, data, fs, rule_cnt, rule_locs.
const (
	nfcFlowType  = 4
	nfcData      = 8
	nfcSpec      = 16
	nfcCount     = nfcSpec + FlowSpecSize
	nfcLocations = nfcCount + 4
	nfcSize      = 192

	FlowSpecSize = 168              // struct ethtool_rx_flow_spec
	specLocation = FlowSpecSize - 8 // its last field, before 4 bytes of padding
)

var native = binary.NativeEndian

// FlowSpec is one flow rule as the kernel has it (struct ethtool_rx_flow_spec); package steering knows what it says.
type FlowSpec [FlowSpecSize]byte

// Location is the rule's place in the driver's table.
func (s *FlowSpec) Location() int { return int(native.Uint32(s[specLocation:])) }

// At returns the rule for another place.
func (s FlowSpec) At(location int) FlowSpec {
	native.PutUint32(s[specLocation:], uint32(location))
	return s
}

func (d *Device) nfc(command uint32, fill func(b []byte), extra int) ([]byte, error) {
	b := make([]byte, nfcSize+extra)
	native.PutUint32(b, command)
	if fill != nil {
		fill(b)
	}
	return b, d.ethtool(b)
}

// Rules lists the places of the flow rules, and how many places there are; 0: the driver doesn't say.
func (d *Device) Rules() (locations []int, places int, err error) {
	for range 8 { // again where rules are added meanwhile
		b, err := d.nfc(ethtoolRuleCount, nil, 0)
		if err != nil {
			return nil, 0, err
		}
		n := int(native.Uint32(b[nfcCount:]))
		b, err = d.nfc(ethtoolRules, func(b []byte) { native.PutUint32(b[nfcCount:], uint32(n)) }, 4*n)
		if errors.Is(err, syscall.EMSGSIZE) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		n = min(n, int(native.Uint32(b[nfcCount:])))
		for i := range n {
			locations = append(locations, int(native.Uint32(b[nfcLocations+4*i:])))
		}
		slices.Sort(locations)
		const special = 1 << 31 // RX_CLS_LOC_SPECIAL: the driver can choose a place by itself
		return locations, int(native.Uint64(b[nfcData:]) &^ special), nil
	}
	return nil, 0, syscall.EMSGSIZE
}

// Rule reads the rule at a place.
func (d *Device) Rule(location int) (s FlowSpec, err error) {
	b, err := d.nfc(ethtoolRule, func(b []byte) { native.PutUint32(b[nfcSpec+specLocation:], uint32(location)) }, 0)
	copy(s[:], b[nfcSpec:])
	return s, err
}

// SetRule puts a rule at its place.
func (d *Device) SetRule(s FlowSpec) error {
	_, err := d.nfc(ethtoolAddRule, func(b []byte) { copy(b[nfcSpec:], s[:]) }, 0)
	return err
}

// DeleteRule removes the rule at a place.
func (d *Device) DeleteRule(location int) error {
	_, err := d.nfc(ethtoolDelRule, func(b []byte) { native.PutUint32(b[nfcSpec+specLocation:], uint32(location)) }, 0)
	return err
}

// HashFields reads which fields of a flow type (TCP_V4_FLOW, ...) are hashed: bits RXH_*.
func (d *Device) HashFields(flowType uint32) (uint64, error) {
	b, err := d.nfc(ethtoolGetFields, func(b []byte) { native.PutUint32(b[nfcFlowType:], flowType) }, 0)
	return native.Uint64(b[nfcData:]), err
}

// SetHashFields sets them.
func (d *Device) SetHashFields(flowType uint32, fields uint64) error {
	_, err := d.nfc(ethtoolSetFields, func(b []byte) {
		native.PutUint32(b[nfcFlowType:], flowType)
		native.PutUint64(b[nfcData:], fields)
	}, 0)
	return err
}

// HashRings returns over how many rx queues the driver spreads flows by default.
func (d *Device) HashRings() (int, error) {
	b, err := d.nfc(ethtoolRings, nil, 0)
	return int(native.Uint64(b[nfcData:])), err
}

// NTuple reports whether flow rules are switched on (ethtool -k, ntuple-filters).
func (d *Device) NTuple() (bool, error) {
	flags, err := d.flags()
	return flags&flagNTuple != 0, err
}

func (d *Device) flags() (uint32, error) {
	b := make([]byte, 8)
	native.PutUint32(b, ethtoolGetFlags)
	err := d.ethtool(b)
	return native.Uint32(b[4:]), err
}

// SetNTuple switches them.
func (d *Device) SetNTuple(on bool) error {
	flags, err := d.flags()
	if err != nil {
		return err
	}
	if flags &^= flagNTuple; on {
		flags |= flagNTuple
	}
	b := make([]byte, 8)
	native.PutUint32(b, ethtoolSetFlags)
	native.PutUint32(b[4:], flags)
	return d.ethtool(b)
}

// RSS is how a driver spreads flows.
type RSS struct {
	Table    []int  // the rx queue of each hash bucket
	Key      []byte // of the hash function
	Function uint8  // a bit: ETH_RSS_HASH_*
	xfrm     uint8  // input_xfrm, since Linux 6.8: to be given back as it was
}

// struct ethtool_rxfh in bytes.
const (
	rxfhIndirSize = 8
	rxfhKeySize   = 12
	rxfhFunction  = 16
	rxfhXfrm      = 17
	rxfhConfig    = 24

	indirNoChange = 1<<32 - 1 // ETH_RXFH_INDIR_NO_CHANGE
)

// RSS reads it.
func (d *Device) RSS() (r RSS, err error) {
	b := make([]byte, rxfhConfig)
	native.PutUint32(b, ethtoolGetRSS)
	if err := d.ethtool(b); err != nil { // how long are table and key?
		return r, err
	}
	entries, key := int(native.Uint32(b[rxfhIndirSize:])), int(native.Uint32(b[rxfhKeySize:]))
	if entries > 1<<20 || key > 1<<16 {
		return r, fmt.Errorf("an RSS table of %d entries, a key of %d bytes", entries, key)
	}
	b = append(b, make([]byte, 4*entries+key)...)
	if err := d.ethtool(b); err != nil {
		return r, err
	}
	for i := range entries {
		r.Table = append(r.Table, int(native.Uint32(b[rxfhConfig+4*i:])))
	}
	r.Key = b[rxfhConfig+4*entries:]
	r.Function, r.xfrm = b[rxfhFunction], b[rxfhXfrm]
	return r, nil
}

// SetRSS writes what is not nil or 0 of it; a table of no entries is the driver's default one.
func (d *Device) SetRSS(r RSS) error {
	now, err := d.RSS()
	if err != nil {
		return err
	}
	b := make([]byte, rxfhConfig)
	native.PutUint32(b, ethtoolSetRSS)
	size := uint32(len(r.Table))
	if r.Table == nil {
		size = indirNoChange
	}
	native.PutUint32(b[rxfhIndirSize:], size)
	native.PutUint32(b[rxfhKeySize:], uint32(len(r.Key)))
	b[rxfhFunction], b[rxfhXfrm] = r.Function, now.xfrm
	for _, queue := range r.Table {
		b = native.AppendUint32(b, uint32(queue))
	}
	return d.ethtool(append(b, r.Key...))
}
