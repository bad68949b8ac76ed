package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"xrx/internal/capture"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// dumpRow is a line of dump --json.
type dumpRow struct {
	TS           json.Number
	Queue        int
	Proto        string
	Src, Dst     string
	Sport, Dport int
	VLAN         *int
	Seq          uint32
	Flags        string
	Len, Payload int
	Segs         int
	GSOSize      int `json:"gso_size"`
	Csum         string
	Captured     int
}

func dumpRows(t *testing.T, stdout string) (rows []dumpRow) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var r dumpRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rows = append(rows, r)
	}
	return rows
}

// stamped is a packet of a file.
type stamped struct {
	after time.Duration // since the capture began
	b     []byte
	cut   int // bytes kept; 0 = all
}

var dumpEpoch = time.Unix(1_700_000_000, 0)

// captureFile writes a pcapng file and returns its path.
func captureFile(t *testing.T, packets ...stamped) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.pcapng")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := capture.NewWriter(f, capture.Info{Iface: "wire0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		kept := p.b
		if p.cut > 0 {
			kept = kept[:p.cut]
		}
		if err := w.Write(dumpEpoch.Add(p.after), kept, len(p.b), 0, capture.Merged{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(capture.Statistics{Began: dumpEpoch, Ended: dumpEpoch, Counts: capture.Counts{Received: uint64(len(packets))}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// fileBytes reads a capture's packets.
func fileBytes(t *testing.T, path string) (packets [][]byte) {
	t.Helper()
	r, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		p, err := r.Next()
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			return packets
		}
		packets = append(packets, bytes.Clone(p.Data))
	}
}

// stream makes the segments of one TCP or UDP flow, every one step later than the one before.
func stream(f frames.Frame, count, size int, step time.Duration) (packets []stamped) {
	for i := range count {
		payload := make([]byte, size)
		for j := range payload {
			payload[j] = byte(i*13 + j)
		}
		f.Payload = payload
		packets = append(packets, stamped{after: time.Duration(i) * step, b: f.Append(nil)})
		f.Seq += uint32(size)
		f.ID++
	}
	return packets
}

func tcp4() frames.Frame {
	return frames.TCP(netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:5201"), 1000, nil)
}

func tcp6() frames.Frame {
	return frames.TCP(netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:5201"), 1<<32-5000, nil)
}

func udp4() frames.Frame {
	return frames.UDP(netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:4433"), nil)
}

// replayFile runs dump -r and fails the test unless it ends well.
func replayFile(t *testing.T, path string, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := runCommand(context.Background(), append([]string{"dump", "-r", path}, args...)...)
	if code != 0 {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	return stdout, stderr
}

// segsOf lists segs of each line.
func segsOf(rows []dumpRow) (segs []int) {
	for _, r := range rows {
		segs = append(segs, r.Segs)
	}
	return segs
}

func TestReplayMergesAStreamAsAQueueWould(t *testing.T) {
	for _, c := range []struct {
		name    string
		packets []stamped
		args    []string
		segs    []int
	}{
		{"one burst, up to 64 KiB", stream(tcp4(), 60, 1448, 0), nil, []int{45, 15}},
		{"a burst ends after the budget", stream(tcp4(), 100, 100, 0), nil, []int{64, 36}},
		{"a burst ends after another budget", stream(tcp4(), 25, 100, 0), []string{"--budget", "10"}, []int{10, 10, 5}},
		{"a burst ends when the time is over", stream(tcp4(), 6, 100, 100*time.Microsecond), nil, []int{2, 2, 2}},
		{"with gather 0 each time is a burst", stream(tcp4(), 3, 100, 1), []string{"--gather", "0"}, []int{1, 1, 1}},
		{"with gather 0 equal times are a burst", stream(tcp4(), 3, 100, 0), []string{"--gather", "0"}, []int{3}},
		{"a hold timer longer than the gaps", stream(tcp4(), 10, 100, 100*time.Microsecond), []string{"--gather", "0", "--gro-flush", "250us"}, []int{3, 3, 3, 1}},
		{"a hold timer shorter than the gaps", stream(tcp4(), 3, 100, 100*time.Microsecond), []string{"--gather", "0", "--gro-flush", "50us"}, []int{1, 1, 1}},
		{"a hold timer that never goes off", stream(tcp4(), 200, 100, time.Microsecond), []string{"--gro-flush", "1s"}, []int{200}},
		{"off", stream(tcp4(), 3, 100, 0), []string{"--gro", "off"}, []int{1, 1, 1}},
		{"UDP is not merged", stream(udp4(), 3, 100, 0), nil, []int{1, 1, 1}},
		{"UDP is merged where asked", stream(udp4(), 100, 100, 0), []string{"--gro-udp", "4433"}, []int{64, 36}},
		{"IPv6", stream(tcp6(), 30, 1400, 0), nil, []int{30}},
		{"packets in several frames each", stream(tcp4(), 7, 8960, 0), nil, []int{7}},
		{"packets of 60 kB", stream(tcp4(), 2, 60000, 0), nil, []int{1, 1}},
		{"the clock goes back", append(stream(tcp4(), 1, 100, 0), stamped{after: -time.Hour, b: stream(udp4(), 1, 5, 0)[0].b}), nil, []int{1, 1}},
		{"nothing", nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := captureFile(t, c.packets...)
			stdout, stderr := replayFile(t, path, append([]string{"--json"}, c.args...)...)
			rows := dumpRows(t, stdout)
			if got := segsOf(rows); !slices.Equal(got, c.segs) && len(c.packets) > 0 && c.name != "the clock goes back" {
				t.Errorf("segs %v, want %v", got, c.segs)
			}
			if len(rows) != len(c.segs) {
				t.Errorf("%d lines, want %d", len(rows), len(c.segs))
			}
			sent, got := 0, 0
			for _, p := range c.packets {
				sent += len(p.b)
			}
			for _, r := range rows {
				headers := r.Len - r.Payload
				got += r.Payload + r.Segs*headers
				if r.Csum != "ok" || (r.Segs > 1) != (r.GSOSize > 0) {
					t.Errorf("%+v", r)
				}
			}
			if got != sent {
				t.Errorf("%d bytes delivered of %d", got, sent)
			}
			if want := fmt.Sprintf("%d packets read, %d delivered", len(c.packets), len(c.segs)); !strings.HasPrefix(stderr, want) {
				t.Errorf("summary %q, want %q", stderr, want)
			}
		})
	}
}

func TestReplayPrintsLinesWithSegsAndGSO(t *testing.T) {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.UTC
	f := tcp4()
	f.VLANs = []frames.VLAN{{TCI: 7}}
	path := captureFile(t, append(stream(f, 45, 1448, 0), stamped{after: time.Second, b: stream(udp4(), 1, 5, 0)[0].b})...)
	stdout, stderr := replayFile(t, path)
	want := "22:13:20.000000 IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], seq 1000:66160, ack 1, win 65535, length 65160 segs=45 gso=1448\n" +
		"22:13:21.000000 IP 10.0.0.1.4000 > 10.0.0.2.4433: UDP, length 5 segs=1 gso=0\n"
	if stdout != want {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
	if want := "46 packets read, 2 delivered (23.0 to 1), 2 printed\n"; stderr != want {
		t.Errorf("summary %q, want %q", stderr, want)
	}
	stdout, _ = replayFile(t, path, "-e", "-n", "1")
	want = "22:13:20.000000 00:00:00:00:00:00 > ff:ff:ff:ff:ff:ff, ethertype 802.1Q (0x8100), length 65218: vlan 7, p 0, ethertype IPv4 (0x0800), " +
		"10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], seq 1000:66160, ack 1, win 65535, length 65160 segs=45 gso=1448\n"
	if stdout != want {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
}

// mixture is several flows and packets that can't be merged, in turn.
func mixture() (packets []stamped) {
	tagged := tcp6()
	tagged.VLANs = []frames.VLAN{{TPID: 0x88a8, TCI: 7}, {TCI: 8}}
	options := tcp4()
	options.SrcPort, options.TCPOptions = 4001, []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	flows := [][]stamped{stream(tcp4(), 100, 1448, 0), stream(tagged, 100, 777, 0), stream(options, 100, 333, 0), stream(udp4(), 100, 1200, 0)}
	arp := frames.Frame{EtherType: 0x0806, Payload: make([]byte, 46)}
	for i := range 100 {
		for _, f := range flows {
			f[i].after = time.Duration(i/10) * time.Millisecond
			packets = append(packets, f[i])
		}
		if i%17 == 0 {
			packets = append(packets, stamped{after: time.Duration(i/10) * time.Millisecond, b: arp.Append(nil)})
		}
	}
	return packets
}

func TestWhatIsWrittenAsItWasOnTheWireIsWhatWasRead(t *testing.T) {
	packets := mixture()
	in, out := captureFile(t, packets...), filepath.Join(t.TempDir(), "out.pcapng")
	for _, args := range [][]string{{"--wire"}, {"--wire", "--gro-udp", "4433"}, {"--gro", "off"}, {"--wire", "--gro-flush", "2ms"}} {
		stdout, stderr := replayFile(t, in, append([]string{"-w", out}, args...)...)
		if stdout != "" {
			t.Errorf("%v: printed %q", args, stdout)
		}
		if slices.Contains(args, "--wire") && !strings.Contains(stderr, " to 1)") || strings.Contains(stderr, "(1.0 to 1)") != slices.Contains(args, "off") {
			t.Errorf("%v: %q", args, stderr)
		}
		var want [][]byte
		for _, p := range packets {
			want = append(want, p.b)
		}
		got := fileBytes(t, out)
		slices.SortFunc(want, bytes.Compare) // order is kept per flow, which the sequence numbers show
		slices.SortFunc(got, bytes.Compare)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%v: %d packets read, %d written, not the same", args, len(want), len(got))
		}
	}
}

func TestAFileOfMergedPacketsReplaysAsItself(t *testing.T) {
	in, merged, again := captureFile(t, mixture()...), filepath.Join(t.TempDir(), "merged.pcapng"), filepath.Join(t.TempDir(), "again.pcapng")
	first, _ := replayFile(t, in, "--json", "-w", merged)
	second, _ := replayFile(t, merged, "--json", "--gather", "0", "-w", again)
	if first != second || !strings.Contains(first, `"segs":1`) || !strings.Contains(first, `"gso_size":1448`) {
		t.Errorf("first\n%ssecond\n%s", first, second)
	}
	if !slices.EqualFunc(fileBytes(t, merged), fileBytes(t, again), bytes.Equal) {
		t.Error("the files differ")
	}
	testnet.Require(t, "cmd:tcpdump")
	out, err := exec.Command("tcpdump", "-n", "-r", merged).Output()
	if err != nil || bytes.Count(out, []byte("\n")) != strings.Count(first, "\n") {
		t.Errorf("tcpdump: %d lines for %d packets, %v", bytes.Count(out, []byte("\n")), strings.Count(first, "\n"), err)
	}
}

func TestPacketsThatTheFileCutOffAreShownAndNeverMerged(t *testing.T) {
	packets := stream(tcp4(), 5, 1448, 0)
	for i := range packets {
		packets[i].cut = 96
	}
	packets[3].cut, packets[4].cut = 20, 0
	stdout, stderr := replayFile(t, captureFile(t, packets...), "--json")
	rows := dumpRows(t, stdout)
	if len(rows) != 5 || !strings.Contains(stderr, "4 packets are cut off") {
		t.Fatalf("%d lines, %q", len(rows), stderr)
	}
	for i, r := range rows[:3] {
		if r.Segs != 1 || r.Csum != "none" || r.Len != 1502 || r.Payload != 1448 || r.Captured != 96 || r.Seq != 1000+uint32(i)*1448 {
			t.Errorf("%+v", r)
		}
	}
	if r := rows[3]; r.Proto != "0x0800" || r.Captured != 20 {
		t.Errorf("%+v", r)
	}
	if r := rows[4]; r.Csum != "ok" || r.Captured != 0 {
		t.Errorf("%+v", r)
	}
}

func TestDumpRefusesInOneLine(t *testing.T) {
	dir := t.TempDir()
	good := captureFile(t, stream(tcp4(), 2, 100, 0)...)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("this is not a capture file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "one interface"},
		{[]string{"a", "b"}, 2, "one interface"},
		{[]string{"-r", good, "a", "b"}, 2, "one interface"},
		{[]string{"nosuch0"}, 1, "nosuch0"},
		{[]string{"-r", filepath.Join(dir, "none.pcap")}, 1, "none.pcap: no such file"},
		{[]string{"-r", dir}, 1, "is a directory"},
		{[]string{"-r", text}, 1, "not a capture file"},
		{[]string{"-r", good, "-w", filepath.Join(dir, "no", "such", "dir")}, 1, "no such file"},
		{[]string{"-r", good, "-w", good}, 2, "would overwrite"},
		{[]string{"-r", good, "--wire"}, 2, "--wire"},
		{[]string{"-r", good, "--print"}, 2, "--print"},
		{[]string{"-r", good, "-w", "-", "--json"}, 2, "standard output"},
		{[]string{"-r", good, "-e", "--json"}, 2, "-e"},
		{[]string{"-r", good, "--files", "3"}, 2, "--files"},
		{[]string{"-r", good, "-w", "-", "--rotate-size", "3"}, 2, "-w FILE"},
		{[]string{"-r", good, "-w", "x", "--files", "3"}, 2, "by size or time"},
		{[]string{"-r", good, "-w", "x", "--rotate-every", "1ms"}, 2, "at least 1s"},
		{[]string{"-r", good, "-w", "x", "--rotate-size", "-1"}, 2, "--rotate-size"},
		{[]string{"-r", good, "-w", "/dev/full"}, 1, "no space left"},
		{[]string{"-r", good, "-n", "many"}, 2, "many"},
		{[]string{"-r", good, "-n", "-1"}, 2, "-1"},
		{[]string{"-r", good, "--duration", "-1s"}, 2, "--duration"},
		{[]string{"-r", good, "--buffer", "0"}, 2, "--buffer 0"},
		{[]string{"-r", good, "--gro", "maybe"}, 2, `--gro "maybe"`},
		{[]string{"-r", good, "--gro-profile", "linux1"}, 2, "linux1"},
		{[]string{"-r", good, "--gro-flush", "2h"}, 2, "--gro-flush"},
		{[]string{"-r", good, "--gro-udp", "4789"}, 2, "tunnel"},
		{[]string{"-r", good, "--chunk", "1000"}, 2, "chunk"},
		{[]string{"-r", captureFile(t, stream(tcp4(), 1, 60000, 0)...), "--frames", "8"}, 1, "--frames"},
		{[]string{"lo", "--no-such-flag"}, 2, "no-such-flag"},
	} {
		code, stdout, stderr := runCommand(context.Background(), append([]string{"dump"}, c.args...)...)
		last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
		if code != c.code || stdout != "" || !strings.Contains(last, c.want) || !strings.HasPrefix(last, "xrx: ") {
			t.Errorf("dump %v: code %d, stdout %q, stderr %q; want code %d and a line with %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
	if got := fileBytes(t, good); len(got) != 2 {
		t.Errorf("the file that was read has %d packets now", len(got))
	}
}

func TestAFileThatBreaksOffIsShownAsFarAsItGoes(t *testing.T) {
	path := captureFile(t, stream(tcp4(), 3, 100, time.Second)...)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file[:len(file)-150], 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runCommand(context.Background(), "dump", "-r", path)
	if code != 1 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "2 packets read, 2 delivered") || !strings.Contains(stderr, "cut off after 2 packets") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestDumpWritesToStandardOutput(t *testing.T) {
	stdout, stderr := replayFile(t, captureFile(t, stream(tcp4(), 4, 100, 0)...), "-w", "-")
	r, err := capture.NewReader(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Next()
	if err != nil || len(p.Data) != 54+400 || p.Merged != (capture.Merged{Segs: 4, GSOSize: 100}) || r.Iface() != "wire0" || !p.Time.Equal(dumpEpoch) {
		t.Errorf("%d bytes, %+v, interface %q, %v", len(p.Data), p, r.Iface(), err)
	}
	if !strings.Contains(stderr, "1 written") {
		t.Errorf("summary %q", stderr)
	}
}
