package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"xrx/bench/internal/lab"
	"xrx/internal/vethnet"
	"xrx/stats"
)

// receivers makes the rows of the table, in its order; what is not installed is named in skipped. dir is for what is built.
// flags are more flags for xrx.
func receivers(b *vethnet.End, dir, xrx, flags string, cpu int) (rs []receiver, skipped []string, err error) {
	rs = append(rs, ceiling{b})
	add := func(p *program) {
		p.end, p.cpu = b, cpu
		rs = append(rs, p)
	}
	cxsk := filepath.Join(dir, "cxsk")
	if err := lab.BuildC(cxsk, filepath.Join(lab.Dir(), "rx/cxsk/cxsk.c"), "libxdp", "-lbpf"); err != nil {
		skipped = append(skipped, fmt.Sprintf("C libxdp: %v (Debian: apt-get install libxdp-dev libbpf-dev)", err))
	} else {
		for _, mode := range []string{"poll", "busy"} {
			add(&program{name: "C libxdp, " + mode, args: []string{cxsk, b.Iface, mode}, ready: isReady, parse: threeNumbers})
		}
	}
	if _, err := exec.LookPath("dpdk-testpmd"); err != nil {
		skipped = append(skipped, "DPDK testpmd: "+err.Error()+" (Debian: apt-get install dpdk)")
	} else {
		add(testpmd(b, dir, cpu))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	loop := func(title, name string, setUp func(bool) error) {
		add(&program{name: title, args: []string{self, "-loop", name, "-iface", b.Iface, "-cpu", strconv.Itoa(cpu)}, pins: true,
			ready: isReady, parse: threeNumbers, setUp: setUp})
	}
	loop("asavie/xdp, poll", "asavie", nil)
	// Redirected frames are only taken by an end that has an XDP program or GRO (drivers/net/veth.c, veth_xdp_xmit, v6.18).
	pass := &passing{end: b} // GRO would merge, and what was received could not be counted
	loop("AF_PACKET TPACKET_V3 (gopacket)", "afpacket", pass.setUp)
	for _, m := range []struct{ name, flags string }{
		{"xrx, GRO off", "--gro off"},
		{"xrx, GRO off, wake for every packet", "--gro off --gather 0"},
		{"xrx, GRO off, busy", "--gro off --busy"},
		{"xrx, GRO on", "--gro on"},
		{"xrx, GRO on, busy", "--gro on --busy"},
	} {
		args := append([]string{xrx, "run", b.Iface, "--json", "--interval", "200ms", "--queues", "1", "--cpu", strconv.Itoa(cpu)},
			strings.Fields(m.flags+" "+flags)...)
		add(&program{name: m.name, args: args, pins: true, ready: func(line string) bool { return strings.HasPrefix(line, "{") }, parse: xrxSummary})
	}
	return rs, skipped, nil
}

// buildXRX builds the command, with this repository's profile if it has one.
func buildXRX(dir string) (string, error) {
	bin := filepath.Join(dir, "xrx")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/xrx")
	cmd.Dir = lab.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build xrx: %w: %s", err, bytes.TrimSpace(out))
	}
	return bin, nil
}

func isReady(line string) bool { return line == "ready" }

// threeNumbers reads the last line of a loop: packets, batches, system calls.
func threeNumbers(out []byte) (c counts, err error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	_, err = fmt.Sscan(string(lines[len(lines)-1]), &c.Packets, &c.Batches, &c.Syscalls)
	return c, err
}

// xrxSummary reads the last line of xrx run --json.
func xrxSummary(out []byte) (c counts, err error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var r stats.Report
	if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil {
		return c, err
	}
	if r.Type != "summary" {
		return c, errors.New("xrx printed no summary")
	}
	c.Packets = r.Delivered.Segments
	for _, q := range r.Queues {
		c.Batches += q.Polls
		c.Syscalls += q.Sleeps + q.Wakeups
	}
	return c, nil
}

// testpmd is DPDK's packet forwarder with its AF_XDP driver, receive only: one idle thread on another processor than cpu, and the one
// that polls. dir takes its run-time files.
func testpmd(b *vethnet.End, dir string, cpu int) *program {
	main := 0
	if cpu == 0 {
		main = 1
	}
	received := regexp.MustCompile(`RX-packets:\s*(\d+)`)
	return &program{name: "DPDK testpmd, net_af_xdp", pins: true, quit: "\n",
		args: []string{"env", "RUNTIME_DIRECTORY=" + dir, "stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "--no-pci", "--no-telemetry", "-m", "256", "--file-prefix", "xrxbench" + strconv.Itoa(os.Getpid()),
			"--lcores", fmt.Sprintf("0@%d,1@%d", main, cpu), "--main-lcore", "0", "--log-level", "lib.eal:error",
			"--vdev", "net_af_xdp0,iface=" + b.Iface, "--", "--forward-mode=rxonly", "--no-mlockall", "--total-num-mbufs=16384", "--rxd=2048"},
		ready: func(line string) bool {
			return strings.HasPrefix(line, "rxonly packet forwarding")
		},
		parse: func(out []byte) (c counts, err error) {
			all := received.FindAllSubmatch(out, -1)
			if len(all) == 0 {
				return c, errors.New("testpmd printed no statistics")
			}
			c.unknown = true
			c.Packets, err = strconv.ParseUint(string(all[len(all)-1][1]), 10, 64)
			return c, err
		}}
}
