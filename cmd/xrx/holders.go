package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"xrx/own"
	"xrx/stats"
)

// onUser1 prints who holds what whenever SIGUSR1 comes (asked): where every frame of every queue is, what taps keep, and the trees
// of package own.
func onUser1(e env, iface string, s source, asked <-chan os.Signal) (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-asked:
				fmt.Fprint(e.stderr, own.Format(append([]own.Entry{holders(iface, s.Snapshot())}, own.Tree()...)))
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// holders is a snapshot's ledger as entries of a report.
func holders(iface string, s stats.Snapshot) own.Entry {
	line := func(name string, frames int) own.Entry {
		return own.Entry{Name: name, Refs: -1, Frames: frames, Bytes: -1}
	}
	all := line(iface, 0)
	for _, q := range s.Queues {
		l := q.Ledger
		e := line(fmt.Sprintf("queue %d", q.Queue), l.Total)
		e.Below = []own.Entry{line("free", l.Free), line("filling: the kernel", l.Filling), line("received", l.Received),
			line("held: GRO", l.Held), line("delivered: consumers", l.Delivered), line("sending", l.Sending), line("lost", l.Lost)}
		all.Frames += l.Total
		all.Below = append(all.Below, e)
	}
	for _, tap := range slices.Sorted(maps.Keys(s.Kept)) {
		all.Below = append(all.Below, line("tap "+tap, int(s.Kept[tap])))
	}
	return all
}
