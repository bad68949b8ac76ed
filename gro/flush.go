package gro

// EndPoll is the flush rule, called after each drain of the rx ring. nowNs is any clock that does not go back, in
// nanoseconds; budgetUsed says that the poll ended because its budget did (only the counter differs: X1, X4).
//
// Without a hold timer everything held is completed. With one, what was held for that long: a packet's age counts from
// the end of the poll that held it first, and merging does not make it younger. The list is in that order, so all that
// is due is completed, and nothing else is looked at.
func (e *Engine) EndPoll(nowNs int64, budgetUsed bool) {
	if e.cfg.Flush == 0 {
		why := PollEnd
		if budgetUsed {
			why = Budget
		}
		e.flushAll(why)
		return
	}
	due := nowNs - int64(e.cfg.Flush)
	for i := e.ents[0].newer; i != 0; i = e.ents[0].newer {
		if since := e.ents[i].since; since == unstamped || since > due {
			break
		}
		e.complete(i, HoldTimer)
	}
	for i := e.ents[0].older; i != 0 && e.ents[i].since == unstamped; i = e.ents[i].older {
		e.ents[i].since = nowNs
	}
}

// FlushAll completes everything held.
func (e *Engine) FlushAll() { e.flushAll(Flushed) }

// flushAll completes all, oldest first. As nothing is left in any bucket, none has to be searched.
func (e *Engine) flushAll(why Reason) {
	anchor := &e.ents[0]
	for i := anchor.newer; i != 0; {
		en := &e.ents[i]
		e.heads[en.hash&e.mask] = 0
		e.end(en, why)
		en.next, e.spare = e.spare, i
		i = en.newer
	}
	anchor.newer, anchor.older = 0, 0
}

// NextDeadline returns when the oldest held packet is due, on EndPoll's clock: when the poll loop has to call EndPoll
// again even if nothing arrives. ok is false when nothing is held. A packet that was held since the last EndPoll, or
// that waits for the end of the poll, is due now: the time is the smallest there is.
func (e *Engine) NextDeadline() (ns int64, ok bool) {
	i := e.ents[0].newer
	if i == 0 {
		return 0, false
	}
	if since := e.ents[i].since; e.cfg.Flush != 0 && since != unstamped {
		return since + int64(e.cfg.Flush), true
	}
	return unstamped, true
}
