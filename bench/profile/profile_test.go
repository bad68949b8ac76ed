package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"xrx/bench/internal/lab"
)

const script = `xrx 4711 cpu-clock:pppH: 
	          4a5b10 xrx.(*Queue).receive (/tmp/xrx)
	          4a5c00 xrx.(*Queue).Poll (/tmp/xrx)

xrx 4711 cpu-clock:pppH: 
	ffffffff81000010 do_nanosleep ([kernel.kallsyms])
	ffffffff81000020 entry_SYSCALL_64 ([kernel.kallsyms])
	          4a5c99 golang.org/x/sys/unix.Syscall6 (/tmp/xrx)

`

func TestPerfScriptIsRead(t *testing.T) {
	stacks, err := parse([]byte(script))
	if err != nil || len(stacks) != 2 {
		t.Fatalf("%d stacks, %v", len(stacks), err)
	}
	if f := stacks[0][0]; f.addr != 0x4a5b10 || f.symbol != "xrx.(*Queue).receive" || f.kernel {
		t.Errorf("%+v", f)
	}
	if f := stacks[1][0]; !f.kernel || f.symbol != "do_nanosleep" {
		t.Errorf("%+v", f)
	}
	if _, err := parse([]byte("\n")); err == nil {
		t.Error("no samples, and no error")
	}
}

func TestSamplesArePutDownToStages(t *testing.T) {
	for _, c := range []struct{ source, symbol, want string }{
		{"umem:Pool.Receive", "xrx.(*Queue).receive", "frame recovery"},
		{"umem:Pool.ReceiveWhole", "xrx.(*Queue).Poll", "frame recovery"},
		{"umem:slot", "xrx/umem.(*Pool).ReceiveWhole", "frame recovery"},
		{"internal/ring:Consumer.Peek", "xrx.(*Queue).receive", "ring"},
		{"internal/ring:Producer.Reserve", "xrx/fillring.(*Refiller).post", "refill"},
		{"umem:Pool.Fill", "xrx/fillring.(*Refiller).post", "refill"},
		{"umem:Umem.at", "xrx/umem.(*Pool).Fill", "refill"},
		{"umem:Umem.at", "xrx/umem.(*Pool).Receive", "frame recovery"},
		{"gro:Engine.Receive", "xrx/gro.(*Engine).Receive", "GRO"},
		{"", "xrx/internal/csum.sumAVX2", "GRO"},
		{"umem:Pool.ReleaseLocal", "xrx.(*Queue).deliver", "delivery"},
		{":Queue.Poll", "xrx.(*Queue).Poll", "poll loop"},
		{"", "runtime.mallocgc", "the rest"},
	} {
		if got := stageOf(stack{{symbol: c.symbol, source: c.source}}); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.source, c.symbol, got, c.want)
		}
	}
	if got := stageOf(stack{{symbol: "do_nanosleep", kernel: true}, {symbol: "xrx.(*Queue).Poll"}}); got != "kernel" {
		t.Errorf("a sample inside the kernel: %s", got)
	}
}

// Every function that a rule names by its Type and name must be there: a rule for one that was renamed would fit nothing.
func TestTheStagesFitTheSource(t *testing.T) {
	source, err := readSource(lab.Root())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, list := range source {
		for _, f := range list {
			got[f.name] = stageOf(stack{{source: f.name}})
		}
	}
	for name, want := range map[string]string{
		":Queue.Poll": "poll loop", ":Queue.receive": "ring", ":Queue.deliver": "delivery", "umem:Pool.Receive": "frame recovery",
		"umem:Pool.Fill": "refill", "umem:Pool.Deliver": "delivery", "umem:Pool.ReleaseLocal": "delivery", "fillring:Refiller.Refill": "refill",
		"gro:Engine.Receive": "GRO", "umem:Pool.Distrust": "metadata", "internal/sys:Sleep": "waiting",
	} {
		if got[name] != want {
			t.Errorf("%s is put down to %q, want %q", name, got[name], want)
		}
	}
}

func TestTheFlameGraphIsXMLWithABoxForEveryFunction(t *testing.T) {
	stacks, err := parse([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	stacks[0][0].source = "umem:Pool.Receive"
	svg := flame(stacks, "a <title> & more")
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"xrx.(*Queue).receive: 50.00 %", "umem.Pool.Receive: 50.00 %", "do_nanosleep [k]: 50.00 %", "all: 100.00 %"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no box %q", want)
		}
	}
}
