/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the program tells the receiver about a packet: the bytes that end where
 * the packet begins, read backwards from the tag at data[-1].
 */
#ifndef XRX_META_H
#define XRX_META_H

/* Kind 1. All fields little-endian; 0 in any of them means absent. */
struct xrx_meta {
	__u32 hash;     /* flow hash; never 0 where Ethernet could be read */
	__u16 vlan_tci; /* outermost tag; valid with VLAN_INBAND or VLAN_HW */
	__u8 flags;     /* enum xrx_flag */
	__u8 l3;        /* 4, 6, or 0: not IP */
	__u8 l3_off;    /* packet start to IP header; 0 when l3 == 0 */
	__u8 l4_off;    /* packet start to L4 header; 0: none, not in reach */
	__u8 l4_proto;  /* after extension headers; 0 when l3 == 0 */
	__u8 tag;       /* kind << 4 | whole metadata length / 4 */
};

/* Kind 2: a receive timestamp in front. */
struct xrx_meta_ts {
	/* The NIC's clock, never 0. A u64, low word first: written so because
	 * 20 bytes don't keep it aligned to 8. */
	__u32 rx_timestamp_ns[2];
	struct xrx_meta meta;
};

enum xrx_flag {
	XRX_FLAG_HASH_L4 = 1 << 0,     /* the hash covers the ports */
	XRX_FLAG_HASH_HW = 1 << 1,     /* the hash is the NIC's */
	XRX_FLAG_VLAN_INBAND = 1 << 2, /* tags are in the packet's bytes */
	XRX_FLAG_VLAN_HW = 1 << 3,     /* the NIC took the outermost tag off */
	XRX_FLAG_VLAN_8021AD = 1 << 4, /* vlan_tci came with TPID 0x88a8 */
	XRX_FLAG_FRAG = 1 << 5,        /* an IP fragment, first or later */
	XRX_FLAG_HASH_SYM = 1 << 6,    /* both directions hash the same */
};

enum xrx_tag {
	XRX_TAG_PLAIN = 0x13,
	XRX_TAG_TIMESTAMP = 0x25,
};

/*
 * The last eight bytes are built in one register. Shifts instead of byte
 * stores: the copy to user space reads them right away, in words, and a wide
 * load of freshly stored bytes stalls.
 */
enum {
	XRX_AT_TCI = 0,
	XRX_AT_FLAGS = 16,
	XRX_AT_L3 = 24,
	XRX_AT_L3_OFF = 32,
	XRX_AT_L4_OFF = 40,
	XRX_AT_L4_PROTO = 48,
	XRX_AT_TAG = 56,
};

#define XRX_AT(field, shift) \
	_Static_assert(__builtin_offsetof(struct xrx_meta, field) * 8 == 32 + (shift), #field)
XRX_AT(vlan_tci, XRX_AT_TCI);
XRX_AT(flags, XRX_AT_FLAGS);
XRX_AT(l3, XRX_AT_L3);
XRX_AT(l3_off, XRX_AT_L3_OFF);
XRX_AT(l4_off, XRX_AT_L4_OFF);
XRX_AT(l4_proto, XRX_AT_L4_PROTO);
XRX_AT(tag, XRX_AT_TAG);
_Static_assert(sizeof(struct xrx_meta) == 4 * (XRX_TAG_PLAIN & 15), "kind 1");
_Static_assert(sizeof(struct xrx_meta_ts) == 4 * (XRX_TAG_TIMESTAMP & 15), "kind 2");

#endif
