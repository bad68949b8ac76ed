package main

import (
	"context"

	"xrx"
	"xrx/metrics"
	"xrx/stats"
)

// source is what run receives from: a *xrx.Receiver, or with --wait a *xrx.Standing.
type source interface {
	metrics.Source
	Run(context.Context, xrx.Consumer) error
	Close() error
	Mode() xrx.Mode
	Match() string
	SetMatch(string) error
}

var (
	_ source = (*xrx.Receiver)(nil)
	_ source = (*xrx.Standing)(nil)
)

func openSource(iface string, cfg *xrx.Config, wait bool) (source, error) {
	rarelyCollect()
	if wait {
		return xrx.NewStanding(iface, cfg)
	}
	return xrx.Open(iface, cfg)
}

func statsMode(m xrx.Mode) stats.Mode {
	return stats.Mode{Attach: m.Attach, Bind: m.Bind, Reason: m.Reason, Settings: m.Settings}
}
