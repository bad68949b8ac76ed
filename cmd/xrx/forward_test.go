package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx/internal/testnet"
	"xrx/stats"
)

// forwardIn starts xrx forward in B, between b0 and f1, whose other end is in B too.
func forwardIn(t *testing.T, n *testnet.Net, args ...string) (done <-chan result, stdout, stderr *transcript, cancel context.CancelFunc) {
	t.Helper()
	n.InB(func() {
		if _, err := netlink.LinkByName("f1"); err == nil {
			return
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "f1"
		veth := netlink.NewVeth(attrs)
		veth.PeerName = "f2"
		if err := netlink.LinkAdd(veth); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"f1", "f2", "lo"} {
			l, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.LinkSetUp(l)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	c := make(chan result, 1)
	stdout, stderr = new(transcript), new(transcript)
	go func() {
		var r result
		err := n.B.Do(func() error {
			r.code = execute(ctx, env{stdout: stdout, stderr: stderr}, append([]string{"forward"}, args...))
			return nil
		})
		if r.stdout, r.stderr = stdout.String(), stderr.String(); err != nil {
			r.stderr += err.Error()
		}
		c <- r
	}()
	t.Cleanup(cancel)
	return c, stdout, stderr, cancel
}

func TestForwardReportsEachDirectionAndWhatItSent(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for _, c := range []struct {
		args string
		ways []string
	}{
		{"b0 f1", []string{"b0 f1", "f1 b0"}},
		{"b0 f1 --one-way --gro off", []string{"b0 f1"}},
		{"b0 b0 --swap-mac", []string{"b0 b0"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			done, _, _, _ := forwardIn(t, n, append(strings.Fields(c.args), "--interval", "0", "--json", "--duration", "300ms")...)
			r := feed(t, n, done)
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("code %d, stderr %q", r.code, r.stderr)
			}
			var ways []string
			for l := range strings.Lines(r.stdout) {
				var s stats.Report
				if err := json.Unmarshal([]byte(l), &s); err != nil {
					t.Fatal(err)
				}
				ways = append(ways, s.Iface+" "+s.Out)
				if s.Type != "summary" || s.Ledger.Lost != 0 || s.Ledger.Sending != 0 {
					t.Errorf("%s: %s, ledger %v", s.Iface, s.Type, s.Ledger)
				}
				if s.Iface == "b0" && (s.Tx.Packets == 0 || s.Tx.Packets+s.Drops["tx_full"]+s.Drops["tx_refused"] < s.Rx.Packets || s.Tx.Completed != s.Tx.Packets) {
					t.Errorf("received %+v, sent %+v, dropped %v", s.Rx, s.Tx, s.Drops)
				}
			}
			if strings.Join(ways, ", ") != strings.Join(c.ways, ", ") {
				t.Errorf("reports of %v, want %v", ways, c.ways)
			}
		})
	}
}

func TestForwardShowsItsSummaryAndServesBothDirections(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	done, stdout, stderr, cancel := forwardIn(t, n, "b0", "f1", "--interval", "20ms", "--metrics", "0")
	stdout.await(t, "both are announced", func(s string) bool { return strings.Contains(s, "forwarding from f1 to b0") })
	stderr.await(t, "metrics are announced", hasLine)
	url := regexp.MustCompile(`http://\S+`).FindString(stderr.String())
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, addr string) (c net.Conn, err error) {
		err = n.B.Do(func() error { // the socket must be of that namespace
			c, err = net.DialTimeout(network, addr, 5*time.Second)
			return err
		})
		return c, err
	}}}
	_, families := scrape(t, client, url)
	for _, labels := range []map[string]string{{"interface": "b0", "reason": "tx_full"}, {"interface": "f1", "reason": "tx_refused"}} {
		if _, k := series(families, "xrx_queue_drops_total", labels); k != 1 {
			t.Errorf("%d series with %v", k, labels)
		}
	}
	if _, k := series(families, "xrx_tx_packets_total", nil); k != 2 {
		t.Errorf("%d series of packets sent, want one for each direction", k)
	}
	stdout.await(t, "intervals", func(s string) bool { return strings.Contains(s, "b0 to f1  ") })
	n.Sender().Send(traffic(n, 8, 4)...)
	cancel()
	r := <-done
	if r.code != 0 || !regexp.MustCompile(`(?m)^interface +b0 to f1, `).MatchString(r.stdout) || !regexp.MustCompile(`(?m)^forwarded +\S+ packets`).MatchString(r.stdout) {
		t.Errorf("code %d, %s", r.code, r.stdout)
	}
}
