package gro

import "xrx/umem"

// lookup returns the index of the held packet of pk's flow, 0 if there is none. h is pk's packet.
func (e *Engine) lookup(h *umem.Header, pk *pkt) uint32 {
	i := e.heads[pk.hash&e.mask]
	for i != 0 {
		en := &e.ents[i]
		if en.k3 == pk.k3 && en.k2 == pk.k2 && (en.k0^pk.k0)|(en.k1^pk.k1) == 0 {
			if pk.shape()&shapeWide == 0 || e.sameWide(en, h, pk) {
				return i
			}
		}
		i = en.next
	}
	return 0
}

// bucketMost is how many packets a bucket holds, as in the kernel (MAX_GRO_SKBS): with the table at most half full
// chance does not fill a bucket, and who finds a way to fill one (Ethernet addresses are not hashed) gains nothing.
const bucketMost = 8

// crowded returns the oldest entry of hash's bucket if that is full, else 0.
func (e *Engine) crowded(hash uint32) uint32 {
	i, n := e.heads[hash&e.mask], 1
	if i == 0 {
		return 0
	}
	for ; e.ents[i].next != 0; n++ {
		i = e.ents[i].next
	}
	if n < bucketMost {
		return 0
	}
	return i
}

// insert makes the entry for h the youngest held packet and returns it. The caller has made sure that one is spare.
func (e *Engine) insert(hash uint32) (uint32, *entry) {
	i := e.spare
	en := &e.ents[i]
	e.spare = en.next
	b := &e.heads[hash&e.mask]
	en.hash, en.next, *b = hash, *b, i
	anchor := &e.ents[0]
	en.older, en.newer = anchor.older, 0
	e.ents[anchor.older].newer = i
	anchor.older = i
	return i, en
}

// remove takes the entry out of its bucket and of the list by age, and makes it spare.
func (e *Engine) remove(i uint32) {
	en := &e.ents[i]
	at := &e.heads[en.hash&e.mask]
	for *at != i {
		at = &e.ents[*at].next
	}
	*at = en.next
	e.ents[en.older].newer = en.newer
	e.ents[en.newer].older = en.older
	en.next, e.spare = e.spare, i
}
