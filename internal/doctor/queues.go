package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"xrx/internal/netdev"
)

func (e *exam) queues() {
	c := Check{"queues", OK, "", "packets of a queue without a socket go to the kernel; xrx binds all unless --queues says otherwise", ""}
	ch := e.settings.Channels
	c.Found = fmt.Sprintf("%d rx", e.info.Queues)
	if ch.MaxRx > 0 {
		c.Found += fmt.Sprintf(" of at most %d, %d tx", ch.MaxRx, ch.Tx)
	}
	e.add(c)
}

func (e *exam) rss() { e.add(checkRSS(e.info, e.settings)) }

func checkRSS(i netdev.Info, s netdev.Settings) Check {
	c := Check{"rss", OK, "the driver has no table; it spreads flows by itself, if at all", "a flow reaches the queue that the table has for its hash; one that is not bound is not received", ""}
	if s.RSS == nil {
		return c
	}
	reached := s.Reached()
	c.Found = fmt.Sprintf("%d entries lead to %d of %d queues", len(s.RSS), len(reached), i.Queues)
	switch {
	case reached[len(reached)-1] >= i.Queues:
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s, and to queue %d, which xrx does not see", c.Found, reached[len(reached)-1])
	case len(reached) < i.Queues:
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s (%s): the others get nothing by hash", c.Found, numbers(reached))
	default:
		return c
	}
	c.Fix = fmt.Sprintf("ethtool -X %s equal %d", i.Name, i.Queues)
	return c
}

func numbers(list []int) string {
	text := make([]string, len(list))
	for i, n := range list {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ",")
}
