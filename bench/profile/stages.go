package main

import (
	"regexp"
	"strings"
)

// order is the stages on the way of a packet.
var order = []struct{ name, what string }{
	{"ring", "rx ring: peek, read descriptors, release"},
	{"frame recovery", "descriptor to hidden header, its checks, state"},
	{"metadata", "what the XDP program wrote"},
	{"GRO", "parse, checksum, match, merge, flush"},
	{"delivery", "state, handler, release"},
	{"refill", "free set and return queue to fill ring"},
	{"poll loop", "Poll and its loop, counters"},
	{"waiting", "deciding to sleep, entering and leaving the kernel"},
	{"kernel", "inside system calls: sleep, wakeup, timer; interrupts"},
	{"the rest", "Go runtime, reports"},
}

// rules say to which stage a function belongs, "folder:Type.Func" as the source has it or "package.(*Type).Func" as the
// linker has it. The first rule that fits the innermost frame with any counts. Helpers that several stages inline (a
// header's address, a state's change) are in none: their callers decide.
var rules = []struct {
	stage string
	re    *regexp.Regexp
}{
	{"refill", regexp.MustCompile(`fillring[:.]|ring[:.]\(?\*?Producer|[:.)]Fill$|[:.)](Reclaim|Returned|giveBack|TakeBack)$`)},
	{"GRO", regexp.MustCompile(`^(xrx/)?gro[:.]|internal/csum|[:.)](Append|Hold|moveRest|merge)$`)},
	{"metadata", regexp.MustCompile(`[:.)](Meta|metaRefused|Distrust|Refused)$|MetaRefused|^(xrx/)?bpf[:.]`)},
	{"frame recovery", regexp.MustCompile(`umem[:.].*[.)](Receive|ReceiveWhole|Chunk)$|umem.*receive|[:.)]assemble$`)},
	{"ring", regexp.MustCompile(`ring[:.]\(?\*?Consumer|Queue\)?\.receive$`)},
	{"delivery", regexp.MustCompile(`[:.)](Deliver|ReleaseLocal|Release|drop|freeChain|push|deliver|each|several|some|discharge|Drop)$|[:.)]delivered$|consumerFor|cmd/xrx:|main\.`)},
	{"waiting", regexp.MustCompile(`[:.)](rest|sleep|patience|tell|wake|Wait|Sleep|Clear|now)$|internal/sys|syscall\.|x/sys/unix`)},
	{"poll loop", regexp.MustCompile(`[:.)](Poll|round|run|live|count|serve|packets|waiting|failed)$`)},
}

// stageOf puts a sample down to a stage.
func stageOf(s stack) string {
	if len(s) > 0 && s[0].kernel {
		return "kernel"
	}
	for _, f := range s {
		if f.kernel {
			continue
		}
		for _, name := range []string{f.source, strings.ReplaceAll(f.symbol, "[...]", "")} {
			if name == "" {
				continue
			}
			for _, r := range rules {
				if r.re.MatchString(name) {
					return r.stage
				}
			}
		}
	}
	return "the rest"
}
