package doctor

import (
	"fmt"
	"slices"
	"strings"

	"xrx/internal/netdev"
)

// peer looks at the other end of a veth: it fills in the checksums, cuts the segments, and has the tx queues.
func (e *exam) peer() {
	p, err := netdev.VethPeer(e.info.Name)
	e.add(checkPeer(e.info, p, err))
	if err == nil {
		e.add(checkPeerQueues(e.info, e.settings.Channels.MaxRx, p))
	}
}

func checkPeer(i netdev.Info, p *netdev.Peer, err error) Check {
	c := Check{ID: "peer", Verdict: OK, Why: "with its tx checksum offload on, checksums of local senders arrive partial (pseudo-header only) and fail verification; with TSO on, skb mode gets frames up to 64 KiB"}
	if err != nil {
		c.Verdict, c.Found = Warn, fmt.Sprintf("the peer of %s can't be seen: %v", i.Name, err)
		c.Fix = "ethtool -K PEER tx off" // there, wherever it is
		return c
	}
	var on []string
	for _, o := range []string{"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation"} {
		if p.Offloads[o].On {
			on = append(on, o)
		}
	}
	c.Found = p.Name + " has its tx checksum offload and TSO off"
	if on != nil {
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s has on: %s", p.Name, strings.Join(on, ", "))
		c.Fix = in(p, fmt.Sprintf("ethtool -K %s tx off", p.Name))
		if !slices.Contains(on, "tx-checksum-ip-generic") {
			c.Fix = in(p, fmt.Sprintf("ethtool -K %s tso off", p.Name))
		}
	}
	return c
}

// checkPeerQueues: native XDP on a veth needs as many rx queues as its peer has tx queues (veth_xdp_set, v6.18).
func checkPeerQueues(i netdev.Info, maxRx int, p *netdev.Peer) Check {
	c := Check{"peer-queues", OK, fmt.Sprintf("%s has %d tx queues, %s %d rx", p.Name, p.TxQueues, i.Name, i.Queues),
		"a veth with fewer rx queues than its peer has tx queues refuses native XDP (ENOSPC): only skb mode is left", ""}
	if p.TxQueues > i.Queues {
		c.Verdict = Warn
		c.Fix = in(p, fmt.Sprintf("ethtool -L %s tx %d", p.Name, i.Queues))
		if maxRx >= p.TxQueues {
			c.Fix = fmt.Sprintf("ethtool -L %s rx %d", i.Name, p.TxQueues)
		}
	}
	return c
}

// in is a command in the peer's namespace.
func in(p *netdev.Peer, command string) string {
	if p.Into == "" {
		return command
	}
	return p.Into + " " + command
}
