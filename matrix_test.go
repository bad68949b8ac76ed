package xrx_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"xrx"
	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/xsk"
)

var updateMatrix = flag.Bool("update-matrix", false, "write docs/MATRIX.md anew")

// A matrix cell is a row (how the receiver is set up) and a column (what the packets are like).
type matrixRow struct {
	mode   bpf.Mode
	chunks string
	shape  xrx.Config // Chunks only
	queues int
	shared bool
}

type matrixColumn struct {
	mtu int
	sg  xrx.MultiBuffer
}

var matrixChunks = []struct {
	name  string
	shape xrx.Config
}{
	{"aligned 2048", xrx.Config{ChunkSize: 2048}},
	{"aligned 4096", xrx.Config{ChunkSize: 4096}},
	{"unaligned 3000", xrx.Config{ChunkSize: 3000, Unaligned: true}},
	{"huge 2048", xrx.Config{ChunkSize: 2048, HugePages: true}},
}

var matrixColumns = []matrixColumn{
	{1500, xrx.MultiBufferOff}, {1500, xrx.MultiBufferOn}, {9000, xrx.MultiBufferOff}, {9000, xrx.MultiBufferOn},
}

func (c matrixColumn) String() string {
	return fmt.Sprintf("MTU %d, SG %s", c.mtu, map[bool]string{true: "on", false: "off"}[c.sg == xrx.MultiBufferOn])
}

func (r matrixRow) String() string {
	umem := "own"
	if r.shared {
		umem = "shared"
	}
	return fmt.Sprintf("%-7s %-15s %6d  %-7s", map[bpf.Mode]string{bpf.Native: "native", bpf.Generic: "skb"}[r.mode], r.chunks, r.queues, umem)
}

func matrixRows() (rows []matrixRow) {
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		for _, c := range matrixChunks {
			for _, queues := range []int{1, 4} {
				for _, shared := range []bool{false, true} {
					rows = append(rows, matrixRow{mode, c.name, c.shape, queues, shared})
				}
			}
		}
	}
	return rows
}

func (r matrixRow) config(c matrixColumn) xrx.Config {
	cfg := r.shape
	cfg.Attach, cfg.Bind, cfg.SharedUmem, cfg.MultiBuffer = r.mode, xsk.Copy, r.shared, c.sg
	cfg.Frames = 1024 // of 2048 bytes: one huge page a queue
	return cfg
}

// Every mode, chunk kind, number of queues and kind of UMEM that copy mode has, with every size of packet: the frames of
// 64 flows, each with every byte, its order and its metadata checked, and an account of all frames afterwards.
func TestMatrix(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	count := uint64(1000)
	if os.Getenv("XRX_LONG") != "" {
		count = 10_000
	}
	huge := freeHugePages(t, 16)
	cells := map[string]string{}
	for _, col := range matrixColumns { // networks are dear: one for each MTU and number of queues
		if col.sg == xrx.MultiBufferOn {
			continue
		}
		for _, queues := range []int{1, 4} {
			if testing.Short() && (queues == 1 || col.mtu == 1500) {
				continue
			}
			n := testnet.New(t, testnet.Options{Queues: queues, MTU: col.mtu})
			for _, row := range matrixRows() {
				if row.queues != queues {
					continue
				}
				for _, sg := range []xrx.MultiBuffer{xrx.MultiBufferOff, xrx.MultiBufferOn} {
					c := matrixColumn{col.mtu, sg}
					name := strings.Join(strings.Fields(fmt.Sprintf("%v %v", row, c)), " ")
					played := false
					ok := t.Run(name, func(t *testing.T) {
						if row.shape.HugePages && !huge {
							t.Skip("no huge pages can be reserved here")
						}
						played = true
						cells[row.String()+c.String()] = matrixCell(t, n, row.config(c), count)
					})
					if !ok {
						cells[row.String()+c.String()] = "FAIL"
					} else if !played {
						cells[row.String()+c.String()] = "-"
					}
				}
			}
		}
	}
	var table strings.Builder
	head := fmt.Sprintf("%-7s %-15s %6s  %-7s", "mode", "chunks", "queues", "umem")
	for _, c := range matrixColumns {
		head += fmt.Sprintf(" %-16v", c)
	}
	table.WriteString(strings.TrimRight(head, " ") + "\n")
	complete := true
	for _, row := range matrixRows() {
		line := row.String()
		for _, c := range matrixColumns {
			cell, played := cells[row.String()+c.String()]
			if !played {
				cell = "-"
			}
			complete = complete && cell != "-" && cell != "FAIL"
			line += fmt.Sprintf(" %-16s", cell)
		}
		table.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if testing.Verbose() {
		fmt.Fprintf(os.Stdout, "\n%s\n", table.String())
	}
	if complete {
		matrixDocument(t, table.String())
	}
}

// matrixDocument holds docs/MATRIX.md to what was found, on the kernel that it speaks of.
func matrixDocument(t *testing.T, table string) {
	const path, from, to = "docs/MATRIX.md", "<!-- written by: go test -run TestMatrix . -update-matrix -->\n```\n", "```\n<!-- end -->"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), from)
	old, tail, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has lost its marks", path)
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	if kernel := "Linux " + string(release[:min(4, len(release))]); !strings.Contains(head, kernel+":") {
		t.Logf("%s speaks of another kernel than %s", path, kernel)
		return
	}
	if old == table {
		return
	}
	if !*updateMatrix {
		t.Errorf("%s does not show what was found here: go test -run TestMatrix . -update-matrix writes it anew", path)
		return
	}
	if err := os.WriteFile(path, []byte(head+from+table+to+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
