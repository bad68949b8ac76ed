package xrx

import (
	"fmt"
	"strings"

	"xrx/bpf"
	"xrx/xsk"
)

// Mode says how packets really reach the receiver, and why not by a better way.
type Mode struct {
	Attach string   // "native" or "skb": where the XDP program runs
	Bind   string   // "zerocopy" or "copy": how bytes get into the UMEM, as XDP_OPTIONS says
	HWMeta bool     // the program that asks the device for metadata is the one attached
	Reason string   // why the mode is not a better one; "" when it is the best there is
	Notes  []string // what else a user should know

	Settings []string // of the interface, in force because Config.Settings asked for them; what was refused is in Notes
}

func (m Mode) String() string { return m.Attach + "+" + m.Bind }

func (m *Mode) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); len(m.Notes) == 0 || m.Notes[len(m.Notes)-1] != n {
		m.Notes = append(m.Notes, n)
	}
}

func (m *Mode) because(why string) {
	if m.Reason != "" {
		m.Reason += "; "
	}
	m.Reason += why
}

func (m *Mode) attached(a attachment) {
	m.Attach, m.HWMeta = "native", a.HWMeta()
	if a.Mode() == bpf.Generic {
		m.Attach = "skb"
	}
	for _, t := range a.Attempts() {
		m.because("not " + t.String())
	}
}

func (m *Mode) bound(got xsk.Mode, tried []xsk.Attempt, attach bpf.Mode) {
	m.Bind = got.String()
	for _, t := range tried {
		if t.Err != nil {
			m.because(fmt.Sprintf("not %s: %s", t.Mode, strings.TrimPrefix(t.Err.Error(), "xsk: ")))
		}
	}
	if got == xsk.Copy && attach == bpf.Generic {
		m.because("not zerocopy: it needs the XDP program in native mode")
	}
	if got == xsk.Copy && len(tried) == 1 && attach == bpf.Native {
		m.because("copy was asked for")
	}
}
