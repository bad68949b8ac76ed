package main

import (
	"errors"
	"fmt"
	"strings"

	"xrx/bench/internal/traces"
	"xrx/gro"
)

// The engines that have targets.
const (
	xrxVerified = "xrx, verified"
	xrxUDP      = "xrx, verified, UDP port opted in"
)

// xrxConfigs are the settings that xrx is measured with, all else being default.
var xrxConfigs = []struct {
	name string
	cfg  gro.Config
}{
	{xrxVerified, gro.Config{}},
	{"xrx, not verified", gro.Config{Verify: gro.VerifyOff}},
	{xrxUDP, gro.Config{UDPPorts: []uint16{traces.UDPPort}}},
	{"xrx, not verified, UDP port opted in", gro.Config{UDPPorts: []uint16{traces.UDPPort}, Verify: gro.VerifyOff}},
}

// engines makes the rows of the table, in its order. Engines that can't be here are named in Skipped.
func (r *result) engines(o options, ts []traces.Trace) (es []engine, err error) {
	add := func(e engine, err error) error {
		if err != nil {
			return err
		}
		if strings.Contains(e.Name(), o.only) {
			es = append(es, e)
			r.Rows = append(r.Rows, &row{Engine: e.Name(), Cells: map[string]*cell{}})
		}
		return nil
	}
	if err := add(newPassThrough()); err != nil {
		return nil, err
	}
	for _, c := range xrxConfigs {
		if err := add(newXRX(c.name, poolFrames, c.cfg)); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	add(newGVisor("gVisor, verified", false), nil)
	add(newGVisor("gVisor, not verified", true), nil)
	if o.only != "" && !strings.Contains("DPDK", o.only) {
		return es, nil
	}
	d, err := startDPDK(o.cpu, ts)
	if errors.Is(err, errAbsent) {
		r.Skipped = append(r.Skipped, "DPDK "+err.Error())
		return es, nil
	}
	if err != nil {
		return nil, fmt.Errorf("DPDK: %w", err)
	}
	for _, m := range rteModes {
		add(rteGRO{d, m[0], m[1]}, nil)
	}
	return es, nil
}
