package doctor

import (
	"fmt"
	"strconv"

	"xrx/internal/netdev"
)

func (e *exam) coalesce() { e.add(checkCoalesce(e.info.Name, e.settings.Coalesce)) }

func checkCoalesce(name string, k *netdev.Coalesce) Check {
	c := Check{"coalesce", OK, "the driver has no interrupt coalescing to set", "how long the card holds an interrupt back is latency, and packets per poll", ""}
	if k == nil {
		return c
	}
	c.Found = fmt.Sprintf("rx-usecs %d, rx-frames %d", k.RxUsecs, k.RxFrames)
	if k.Adaptive {
		c.Found += ", adaptive"
	}
	if k.RxUsecs >= 1000 && !k.Adaptive {
		c.Verdict, c.Fix = Warn, fmt.Sprintf("ethtool -C %s rx-usecs 50", name)
	}
	return c
}

func (e *exam) napi() {
	s, err := netdev.OpenSysfs(e.info, e.attrs.HardwareAddr.String())
	if err != nil {
		e.add(Check{"napi", OK, "not readable: " + err.Error(), whyNAPI, ""})
		return
	}
	defer s.Close()
	var knobs [3]int
	for i, file := range []string{"napi_defer_hard_irqs", "gro_flush_timeout", "threaded"} {
		text, err := s.Read(e.info.Name, file)
		if err == nil {
			knobs[i], err = strconv.Atoi(text)
		}
		if err != nil && file != "threaded" { // came later, in 5.12
			e.add(Check{"napi", OK, "not readable: " + err.Error(), whyNAPI, ""})
			return
		}
	}
	e.add(checkNAPI(e.info.Name, knobs[0], knobs[1], knobs[2]))
}

const whyNAPI = "interrupts that are put off suit a receiver that polls (--busy); for one that sleeps they are latency"

func checkNAPI(name string, deferIRQs, flushNs, threaded int) Check {
	c := Check{"napi", OK, fmt.Sprintf("napi_defer_hard_irqs %d, gro_flush_timeout %d ns, threaded %d", deferIRQs, flushNs, threaded), whyNAPI,
		fmt.Sprintf("echo 0 > /sys/class/net/%[1]s/napi_defer_hard_irqs; echo 0 > /sys/class/net/%[1]s/gro_flush_timeout", name)}
	switch {
	case deferIRQs > 0 && flushNs == 0:
		c.Verdict, c.Why = Warn, "interrupts are put off for so many empty polls, but no timer polls again: without gro_flush_timeout it does nothing"
	case flushNs >= 1e6 && deferIRQs > 0:
		c.Verdict, c.Why = Warn, "packets wait for up to that time, unless somebody busy-polls: left behind, perhaps, by a program that did"
	case flushNs >= 1e6:
		c.Verdict, c.Why = Warn, "the kernel's GRO holds packets of the interface for up to that time"
	}
	return c
}
