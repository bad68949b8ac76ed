package doctor

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"xrx/internal/steering"
	"xrx/internal/tune"
)

func (e *exam) flowRules() {
	i, err := tune.OpenInterface(e.info.Name)
	if err != nil {
		e.add(Check{"flow-rules", OK, "not to be found out: " + err.Error(), whyRules, ""})
		return
	}
	defer i.Close()
	tables, errs := i.Tables(e.info.Name, e.info.Queues)
	e.add(checkRules(tables, errs["rules"]))
}

const whyRules = "flow rules (ntuple filters) come before RSS: they drop packets, or lead them to a queue, before xrx can see them"

// rulesShown bounds the line.
const rulesShown = 8

func checkRules(t steering.Tables, err error) Check {
	c := Check{"flow-rules", OK, "none", whyRules, ""}
	if errors.Is(err, syscall.EOPNOTSUPP) {
		c.Found = "the driver has none"
		return c
	}
	if err != nil {
		c.Found = "not readable: " + err.Error()
		return c
	}
	var shown []string
	for _, r := range t.Rules {
		if len(shown) < rulesShown {
			shown = append(shown, r.String())
		}
		if r.Drop || r.VF > 0 || r.Queue >= t.Queues {
			c.Verdict, c.Fix = Warn, fmt.Sprintf("xrx steer %s --delete-rule %d", t.Interface, r.Location)
		}
	}
	if more := len(t.Rules) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	if shown != nil {
		c.Found = fmt.Sprintf("%d: %s", len(t.Rules), strings.Join(shown, "; "))
	}
	if c.Verdict == Warn {
		c.Found += " (dropped, or led away)"
	}
	return c
}
