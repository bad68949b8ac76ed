package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"xrx/fillring"
	"xrx/internal/netdev"
	"xrx/umem"
	"xrx/xsk"
)

// restarts are drivers that stop and start a queue, some of them the link, when a socket takes it with zero-copy.
var restarts = []string{"ice", "i40e", "ixgbe", "igb", "igc", "mlx5_core", "virtio_net", "bnxt_en", "stmmac"}

const whyZeroCopy = "with zero-copy the device writes into the UMEM; else the kernel copies every packet"

// zeroCopy binds a socket to a queue that nobody has, with zero-copy, and closes it again.
func (e *exam) zeroCopy() {
	c := Check{"zero-copy", Warn, "", whyZeroCopy, fmt.Sprintf("xrx doctor %s --try always", e.info.Name)}
	if why := e.leaveAlone(); why != "" {
		c.Found = "not tried: " + why
		if slices.Contains(restarts, e.info.Driver) {
			c.Found += "; the driver may restart the queue, or the link, when a socket takes it"
		}
		if e.opts.Try == TryNever {
			c.Fix = fmt.Sprintf("xrx doctor %s", e.info.Name)
		}
		e.add(c)
		return
	}
	free := e.freeQueues()
	if len(free) == 0 {
		c.Found = "not tried: every queue has an AF_XDP socket already (bind would say EBUSY)"
		c.Fix = "" // the check before this one has it
		e.add(c)
		return
	}
	began := time.Now()
	queue, err := tryZeroCopy(e.info, free)
	c = checkZeroCopy(e.info, queue, time.Since(began), e.support, err)
	if errors.Is(err, syscall.EOPNOTSUPP) && e.supportErr == nil {
		c.Found += fmt.Sprintf("; xrx run takes %s by itself", fallback(e.support))
	}
	if e.takenKnown && !gone(e.info.Index, queue) {
		c.Verdict, c.Found, c.Fix = Warn, c.Found+"; the queue is still being given back", ""
	}
	e.add(c)
}

// leaveAlone says why zero-copy is not to be tried, if it isn't.
func (e *exam) leaveAlone() string {
	switch {
	case e.opts.Try == TryNever:
		return "so it was asked"
	case e.opts.Try == TryAlways:
		return ""
	case e.lifeline != "":
		return e.lifeline
	case len(e.programs) > 0:
		return "an XDP program is there"
	}
	return ""
}

// freeQueues lists what to try: the last queues first, which hold the least traffic where RSS covers a part.
func (e *exam) freeQueues() (free []int) {
	for q := e.info.Queues - 1; q >= 0; q-- {
		if !slices.Contains(e.taken, q) {
			free = append(free, q)
		}
	}
	return free
}

// tryZeroCopy binds to the first queue of these that is free; where another socket has it, to the next but one at most:
// each refusal takes two seconds of patience. It returns the queue that the error, or its absence, is about.
func tryZeroCopy(i netdev.Info, queues []int) (queue int, err error) {
	for _, queue = range queues[:min(len(queues), 2)] {
		if err = bindZeroCopy(i, queue); !errors.Is(err, syscall.EBUSY) {
			break
		}
	}
	return queue, err
}

// bindZeroCopy binds and closes. The fill ring is full before: some drivers take all descriptors at once, and give
// packets that come meanwhile to the kernel in these frames.
func bindZeroCopy(i netdev.Info, queue int) (err error) {
	mem, err := umem.New(umem.Config{Frames: 1024, ChunkSize: 4096})
	if err != nil {
		return err
	}
	pools, err := mem.Split(1)
	if err != nil {
		return errors.Join(err, mem.Close())
	}
	s, err := xsk.Open(xsk.Config{Umem: mem, IfIndex: i.Index, Iface: i.Name, Queue: queue, FillSize: 1024, RxSize: 1024})
	if err != nil {
		return errors.Join(err, mem.Close())
	}
	fillring.New(s.Fill, pools[0]).Refill()
	_, err = s.Bind(xsk.ZeroCopy, true)
	closed := s.Close()
	pools[0].TakeBack()
	return errors.Join(err, closed, mem.Close())
}

// gone waits until the kernel has taken the queue back, which it does from a work item.
func gone(index, queue int) bool {
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		taken, known := netdev.QueuesWithSockets(index)
		if !known || !slices.Contains(taken, queue) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// fallback is the mode that a receiver has without zero-copy, by what the driver names.
func fallback(s netdev.Support) string {
	const native = netdev.ActBasic | netdev.ActRedirect
	if s.XDP&native == native {
		return "native+copy"
	}
	return "skb+copy"
}

func checkZeroCopy(i netdev.Info, queue int, took time.Duration, s netdev.Support, err error) Check {
	c := Check{"zero-copy", OK, "", whyZeroCopy, ""}
	if err == nil {
		c.Found = fmt.Sprintf("queue %d was bound with zero-copy and given back, in %d ms", queue, took.Milliseconds())
		return c
	}
	said := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "xsk: ")
	c.Verdict, c.Found = Warn, "refused: "+said
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		c.Fix = fmt.Sprintf("xrx run %s --bind copy", i.Name)
		if s.XDP&netdev.ActZeroCopy != 0 {
			c.Found += "; the driver names it among its features, so not with its present settings (rings, queues, LRO)"
		}
	case errors.Is(err, syscall.EBUSY):
		c.Verdict, c.Fix = Fail, "ss --xdp -p"
	case errors.Is(err, syscall.EPERM):
		c.Found = "could not be tried: " + said
		c.Fix = fmt.Sprintf("sudo xrx doctor %s", i.Name)
	case errors.Is(err, syscall.ENOBUFS):
		c.Verdict, c.Found, c.Fix = Fail, "could not be tried: "+said, "ulimit -l unlimited"
	case errors.Is(err, syscall.ENETDOWN):
		c.Fix = fmt.Sprintf("ip link set dev %s up", i.Name)
	default:
		c.Fix = fmt.Sprintf("xrx run %s --bind copy", i.Name)
	}
	return c
}
