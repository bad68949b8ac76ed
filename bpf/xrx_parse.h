/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Headers to metadata: one pass over Ethernet, VLAN tags, IP and the ports,
 * and the flow hash on the way. Only data..data_end is read: of a packet of
 * several buffers, the first.
 */
#ifndef XRX_PARSE_H
#define XRX_PARSE_H

#include "xrx_kernel.h"
#include "xrx_meta.h"

/* Set before load; the verifier then drops the branches that can't be taken. */
volatile const __u8 symmetric;
volatile const __u64 seed;

enum {
	ETH_HLEN = 14,
	VLAN_HLEN = 4,
	IPV4_HLEN = 20,
	IPV6_HLEN = 40,
	MAX_VLANS = 2,
	MAX_EXTHDRS = 8, /* extension headers walked; an honest packet has <= 4 */

	ETH_IPV4 = BE16(0x0800),
	ETH_IPV6 = BE16(0x86dd),
	ETH_8021Q = BE16(0x8100),
	ETH_8021AD = BE16(0x88a8),

	PROTO_HOPOPTS = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_NONE = 59,
	PROTO_DSTOPTS = 60,
	PROTO_SCTP = 132,
};

/* What one packet came to. */
struct view {
	__u64 word; /* the last eight bytes of struct xrx_meta, tag still 0 */
	__u32 hash;
	__u32 odd; /* enum odd, together; 0 for most packets: one test for all */
};

enum odd {
	ODD_SAYS = 0x1ffff,     /* the frame's length by its IP header, where data_end is before that; or 0 */
	ODD_CUT = 1 << 17,      /* a header this parser wanted ends beyond data_end */
	ODD_UNPARSED = 1 << 18, /* all headers are there, but no IP is among them */
};

#define LOAD16(p) (*(const __u16 *)(p))
#define LOAD32(p) (*(const __u32 *)(p))
#define LOAD64(p) (*(const __u64 *)(p))

#define MASK48 0xffffffffffffULL

/*
 * Odd 64-bit constants with mixed bits: the fractional parts of the golden
 * ratio, sqrt(2), sqrt(3) and sqrt(5).
 */
#define K1 0x9e3779b97f4a7c15ULL
#define K2 0x6a09e667f3bcc909ULL
#define K3 0xbb67ae8584caa73bULL
#define K4 0x3c6ef372fe94f82bULL

/*
 * Two endpoints and a protocol to 32 bits: three multiplications, each step
 * but the last invertible, so flows that differ in one thing only can't
 * collide before it. Ordering the endpoints makes both directions equal
 * without losing which port belongs to which address (xor or sum would).
 */
static __always_inline __u32 flow_hash(__u64 src, __u64 dst, __u64 proto)
{
	__u64 h;

	if (symmetric) {
		/* A branch of its own, which the verifier takes out: the compiler would make one with the
		 * comparison, and that one is taken for every other flow. */
		asm volatile("");
		if (src > dst) {
			h = src;
			src = dst;
			dst = h;
		}
	}
	h = (src ^ seed ^ proto << 48) * K1;
	h = (h ^ h >> 32 ^ dst) * K2;
	h = (h ^ h >> 32) * K3;
	h >>= 32;
	return h ? h : 1; /* 0 says: no hash */
}

/* An IPv6 address and a port to 64 bits. */
static __always_inline __u64 endpoint6(const void *addr, __u64 port)
{
	__u64 h = (LOAD64(addr) ^ seed) * K4;

	h = (h ^ h >> 32 ^ LOAD64(addr + 8)) * K1;
	return h ^ h >> 32 ^ port << 32;
}

/*
 * Remembers what the IP header says of the length where the first buffer has less: a packet of
 * several buffers, or one that is not whole. Padding makes frames longer than they say, never shorter.
 */
static __always_inline void measure(const void *data, const void *end,
				    __u64 says, struct view *v)
{
	if (unlikely(says > (__u64)(end - data)))
		v->odd |= says;
}

static __always_inline int has_ports(__u64 proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

/*
 * The first four bytes of the L4 header, at off. l4_off is given only where
 * they are in reach, for every protocol alike; 0 returned where they aren't,
 * or hold no ports.
 */
static __always_inline __u32 parse_l4(const void *data, const void *end,
				      __u64 off, __u64 proto, struct view *v)
{
	const void *l4 = data + off;

	v->word |= proto << XRX_AT_L4_PROTO;
	if (unlikely(l4 + 4 > end)) {
		if (has_ports(proto))
			v->odd |= ODD_CUT;
		return 0;
	}
	v->word |= off << XRX_AT_L4_OFF;
	if (!has_ports(proto))
		return 0;
	return LOAD32(l4);
}

/*
 * A fragment is hashed by its addresses alone, first or not: later ones have no ports,
 * and all of a datagram must go the same way.
 */
static __always_inline void parse_ipv4(const void *data, const void *end,
				       __u64 off, struct view *v)
{
	const void *ip = data + off;
	__u64 addrs, proto, ihl;
	__u32 ports = 0;
	__u16 frag;

	if (unlikely(ip + IPV4_HLEN > end)) {
		v->odd |= ODD_CUT;
		return;
	}
	ihl = *(const __u8 *)ip;
	if (unlikely(ihl >> 4 != 4 || (ihl & 15) < 5)) {
		v->odd |= ODD_UNPARSED;
		return;
	}
	ihl = (ihl & 15) * 4;
	v->word |= 4ULL << XRX_AT_L3 | off << XRX_AT_L3_OFF;
	measure(data, end, off + BE16(LOAD16(ip + 2)), v);
	addrs = LOAD64(ip + 12);
	proto = *(const __u8 *)(ip + 9);
	frag = LOAD16(ip + 6);

	if (unlikely(frag & BE16(0x3fff))) {
		v->word |= (__u64)XRX_FLAG_FRAG << XRX_AT_FLAGS;
		if (frag & BE16(0x1fff))
			v->word |= proto << XRX_AT_L4_PROTO;
		else
			parse_l4(data, end, off + ihl, proto, v);
		proto = 0;
	} else {
		ports = parse_l4(data, end, off + ihl, proto, v);
		if (likely(has_ports(proto) && !(v->odd & ODD_CUT)))
			v->word |= (__u64)XRX_FLAG_HASH_L4 << XRX_AT_FLAGS;
	}
	v->hash = flow_hash((__u32)addrs | (__u64)(ports & 0xffff) << 32,
			    addrs >> 32 | (__u64)(ports >> 16) << 32, proto);
}

static __always_inline void parse_ipv6(const void *data, const void *end,
				       __u64 l3_off, struct view *v)
{
	const void *ip = data + l3_off;
	__u64 off = l3_off + IPV6_HLEN;
	__u64 proto, hash_proto;
	__u32 ports = 0;
	__u8 later = 0, far = 0, frag = 0;
	int i;

	if (unlikely(ip + IPV6_HLEN > end)) {
		v->odd |= ODD_CUT;
		return;
	}
	if (unlikely(*(const __u8 *)ip >> 4 != 6)) {
		v->odd |= ODD_UNPARSED;
		return;
	}
	v->word |= 6ULL << XRX_AT_L3 | l3_off << XRX_AT_L3_OFF;
	/* Of a jumbogram (RFC 2675) the length here is 0: nothing is said, and none is missed. */
	measure(data, end, off + BE16(LOAD16(ip + 4)), v);
	proto = *(const __u8 *)(ip + 6);

#pragma clang loop unroll(disable)
	for (i = 0; i < MAX_EXTHDRS; i++) {
		const void *ext = data + off;

		if (proto != PROTO_HOPOPTS && proto != PROTO_ROUTING &&
		    proto != PROTO_DSTOPTS && proto != PROTO_FRAGMENT)
			break;
		if (ext + 8 > end) {
			v->odd |= ODD_CUT;
			far = 1;
			break;
		}
		if (proto == PROTO_FRAGMENT) {
			__u16 fo = LOAD16(ext + 2);

			/* Offset 0 and no more to come: whole, RFC 6946. */
			frag |= !!(fo & BE16(0xfff9));
			later = !!(fo & BE16(0xfff8));
			off += 8;
		} else {
			off += 8 + 8 * *(const __u8 *)(ext + 1);
		}
		proto = *(const __u8 *)ext;
		if (later)
			break;
		if (off > 255) { /* beyond what l4_off can say */
			far = 1;
			break;
		}
	}
	/* Out of turns with an extension header still ahead. */
	if (proto == PROTO_HOPOPTS || proto == PROTO_ROUTING ||
	    proto == PROTO_DSTOPTS || proto == PROTO_FRAGMENT ||
	    proto == PROTO_NONE)
		far = 1;

	hash_proto = proto;
	if (unlikely(frag)) {
		v->word |= (__u64)XRX_FLAG_FRAG << XRX_AT_FLAGS;
		hash_proto = 0;
	}
	if (unlikely(later || far)) {
		v->word |= proto << XRX_AT_L4_PROTO;
	} else {
		ports = parse_l4(data, end, off, proto, v);
		if (unlikely(frag))
			ports = 0;
		else if (likely(has_ports(proto) && !(v->odd & ODD_CUT)))
			v->word |= (__u64)XRX_FLAG_HASH_L4 << XRX_AT_FLAGS;
	}
	v->hash = flow_hash(endpoint6(ip + 8, ports & 0xffff),
			    endpoint6(ip + 24, ports >> 16), hash_proto);
}

/*
 * Nearly every packet: TCP or UDP over IPv4 without options, tags or fragments, whole. One
 * bounds check and few branches; 0 for any other packet, of which parse_rest() then makes
 * the same as this would, and more.
 */
static __always_inline int parse_common(const void *data, const void *end,
					struct view *v)
{
	const void *ip = data + ETH_HLEN;
	__u64 addrs, proto;
	__u32 ports;

	if (unlikely(ip + IPV4_HLEN + 4 > end))
		return 0;
	if (unlikely((LOAD32(data + 12) & 0xffffff) != (ETH_IPV4 | 0x45 << 16)))
		return 0;
	proto = *(const __u8 *)(ip + 9);
	if (unlikely(proto != PROTO_TCP && proto != PROTO_UDP))
		return 0;
	if (unlikely(LOAD16(ip + 6) & BE16(0x3fff)))
		return 0;
	if (unlikely(ETH_HLEN + BE16(LOAD16(ip + 2)) > (__u64)(end - data)))
		return 0;
	addrs = LOAD64(ip + 12);
	ports = LOAD32(ip + IPV4_HLEN);
	v->odd = 0;
	v->word = proto << XRX_AT_L4_PROTO | (__u64)XRX_FLAG_HASH_L4 << XRX_AT_FLAGS |
		  4ULL << XRX_AT_L3 | (__u64)ETH_HLEN << XRX_AT_L3_OFF |
		  (__u64)(ETH_HLEN + IPV4_HLEN) << XRX_AT_L4_OFF;
	if (symmetric)
		v->word |= (__u64)XRX_FLAG_HASH_SYM << XRX_AT_FLAGS;
	v->hash = flow_hash((__u32)addrs | (__u64)(ports & 0xffff) << 32,
			    addrs >> 32 | (__u64)(ports >> 16) << 32, proto);
	return 1;
}

static __always_inline void parse_rest(const void *data, const void *end,
				       struct view *v)
{
	__u64 off = ETH_HLEN;
	__u64 dst, src;
	__u16 type;
	int i;

	v->word = 0;
	v->hash = 0;
	v->odd = 0;

	if (unlikely(data + ETH_HLEN > end)) {
		v->odd |= ODD_CUT;
		return;
	}
	type = LOAD16(data + 12);

#pragma unroll
	for (i = 0; i < MAX_VLANS; i++) {
		if (likely(type != ETH_8021Q && type != ETH_8021AD))
			break;
		if (data + off + VLAN_HLEN > end) {
			v->odd |= ODD_CUT;
			break;
		}
		if (i == 0) {
			v->word |= (__u64)BE16(LOAD16(data + off)) << XRX_AT_TCI |
				   (__u64)XRX_FLAG_VLAN_INBAND << XRX_AT_FLAGS;
			if (type == ETH_8021AD)
				v->word |= (__u64)XRX_FLAG_VLAN_8021AD << XRX_AT_FLAGS;
		}
		type = LOAD16(data + off + 2);
		off += VLAN_HLEN;
	}

	if (likely(type == ETH_IPV4))
		parse_ipv4(data, end, off, v);
	else if (type == ETH_IPV6)
		parse_ipv6(data, end, off, v);
	else if (!(v->odd & ODD_CUT))
		v->odd |= ODD_UNPARSED;

	if (unlikely(!v->hash)) {
		/* No IP to go by: both MACs and the EtherType in front of
		 * whatever it is. */
		dst = LOAD64(data) & MASK48;
		src = LOAD64(data + 6) & MASK48;
		v->hash = flow_hash(src, dst, type);
	}
	if (symmetric)
		v->word |= (__u64)XRX_FLAG_HASH_SYM << XRX_AT_FLAGS;
}

static __always_inline void parse(const void *data, const void *end,
				  struct view *v)
{
	if (unlikely(!parse_common(data, end, v)))
		parse_rest(data, end, v);
}

#endif
