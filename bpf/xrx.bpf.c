// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//go:build ignore

/*
 * The kernel half of xrx. Every packet of an interface comes by: it is parsed,
 * gets its metadata written in front of it, and goes to the AF_XDP socket of
 * the queue it came in on; or to the kernel's stack, untouched, where no socket is.
 */
#include "xrx_parse.h"

/* Testing: behave as if the driver had no room for metadata. */
volatile const __u8 refuse_meta;

/* Nobody wants metadata: packets are not looked into, and nothing is written. */
volatile const __u8 no_meta;

/* xrx_rx_hints: prefer the NIC's flow hash to ours. */
volatile const __u8 hw_hash;

/* There is an expression in xrx_match; otherwise it isn't even called. */
volatile const __u8 matching;

/* The program may get packets of several buffers, so the kernel has bpf_xdp_get_buff_len (v5.18). */
volatile const __u8 frags;

/* Written by user space at any time, in its first byte: anything but 0 lets everything pass. */
volatile __u32 disabled;

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64); /* queues; set at load */
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/*
 * Each packet is exactly one of the first four. The rest say more about
 * packets that were redirected.
 */
enum xrx_reason {
	XRX_REDIRECTED,
	XRX_NO_SOCKET,
	XRX_NOT_MATCHED,
	XRX_DISABLED,
	XRX_META_REFUSED,
	XRX_TOO_SHORT,
	XRX_UNPARSED,
	XRX_TRUNCATED,
	XRX_REASONS,
};

/* A cache line; only the program on that processor writes it. */
struct xrx_counts {
	__u64 n[XRX_REASONS];
};
_Static_assert(sizeof(struct xrx_counts) == 64, "two processors' counters in one cache line");

/*
 * Of processor 0; the loader makes it as many as there are (bpf/counters.go). Not a per-CPU map, whose
 * entry takes a key in memory and three loads to find (docs/adr/0026).
 */
struct xrx_counts counts[1] SEC(".data.counts");

/* How many. */
volatile const __u32 cpus;

/*
 * Told to user space, which maps it. meta_refused: not 0 once a packet had to go without
 * metadata. It is written before that packet's descriptor can be seen, so whoever
 * reads it after taking descriptors knows whether tags may be stale.
 * truncated: the bytes there were of the last packet that was not whole; 0: none yet.
 */
struct xrx_told {
	__u32 meta_refused;
	__u32 truncated;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xrx_told);
} told SEC(".maps");

/* Only what a variable or map has as its type is described to bpf2go. */
const struct xrx_types {
	enum xrx_flag flag;
	enum xrx_tag tag;
	enum xrx_reason reason;
	struct xrx_meta_ts meta;
} *types __attribute__((unused));

/* What the NIC says of a packet; 0 in any of them: nothing. */
struct hints {
	__u64 timestamp;
	__u32 hash;
	__u32 hash_l4;
	__u32 vlan; /* a tag was taken off */
	__u16 tci;
	__be16 tpid;
};

/* EtherType and VLAN tags, as the compiled expression wants them (match/field.go). */
enum {
	LINK_TAG1 = 16, /* bit of the outermost tag's id; the second's: 16 further up */
	LINK_TAGGED = 0x1000,
};

/* What parse() saw there, once more: only who matches needs it. */
static __always_inline __u64 link_of(const void *data, const void *end)
{
	__u64 off = ETH_HLEN, link = 0;
	__u16 type;
	int i;

	if (data + ETH_HLEN > end)
		return 0;
	type = LOAD16(data + 12);
#pragma unroll
	for (i = 0; i < MAX_VLANS; i++) {
		if (likely(type != ETH_8021Q && type != ETH_8021AD))
			break;
		if (data + off + VLAN_HLEN > end)
			break;
		link |= (__u64)(LINK_TAGGED | (BE16(LOAD16(data + off)) & 0xfff))
			<< (LINK_TAG1 + 16 * i);
		type = LOAD16(data + off + 2);
		off += VLAN_HLEN;
	}
	return link | BE16(type);
}

/*
 * The seam for match expressions: the loader puts a compiled one in the place of this
 * body (bpf/match.go). Global, so that the verifier goes through it once, by itself, and
 * not again for every way that leads here; word is that of struct view.
 */
__noinline int xrx_match(struct xdp_md *ctx, __u64 word, __u64 link)
{
	int take = 1;

	asm volatile("" : "+r"(take) : "r"(ctx), "r"(word), "r"(link));
	return take;
}

/* Whether xrx takes the packet. It is parsed by now, and nothing is written yet. */
static __always_inline int match(struct xdp_md *ctx, const struct view *v)
{
	return !matching || xrx_match(ctx, v->word, link_of((void *)(long)ctx->data,
							    (void *)(long)ctx->data_end));
}

/* The driver's answers. An error, or a zero where zero means nothing, is absence. */
static __always_inline void ask_nic(struct xdp_md *ctx, struct hints *h)
{
	enum xdp_rss_hash_type rss = 0;
	__be16 tpid = 0;
	__u16 tci = 0;
	__u32 hash = 0;
	__u64 ts = 0;

	if (ksym_present(bpf_xdp_metadata_rx_timestamp) &&
	    !bpf_xdp_metadata_rx_timestamp(ctx, &ts))
		h->timestamp = ts;
	if (hw_hash && ksym_present(bpf_xdp_metadata_rx_hash) &&
	    !bpf_xdp_metadata_rx_hash(ctx, &hash, &rss) && rss) {
		h->hash = hash;
		h->hash_l4 = rss & XDP_RSS_L4;
	}
	if (ksym_present(bpf_xdp_metadata_rx_vlan_tag) &&
	    !bpf_xdp_metadata_rx_vlan_tag(ctx, &tpid, &tci)) {
		h->vlan = 1;
		h->tci = tci;
		h->tpid = tpid;
	}
}

/*
 * The NIC's word over ours. A tag it took off was in front of any that is
 * still in the packet, so it is the outermost: vlan_tci and 8021AD are its,
 * and VLAN_INBAND stays to say that there are more.
 */
static __always_inline void apply_hints(const struct hints *h, struct view *v)
{
	__u64 drop = 0, set = 0;

	if (h->hash) {
		v->hash = h->hash;
		drop = XRX_FLAG_HASH_L4 | XRX_FLAG_HASH_SYM;
		set = XRX_FLAG_HASH_HW;
		if (h->hash_l4)
			set |= XRX_FLAG_HASH_L4;
	}
	if (h->vlan) {
		v->word = (v->word & ~0xffffULL) | h->tci;
		drop |= XRX_FLAG_VLAN_8021AD;
		set |= XRX_FLAG_VLAN_HW;
		if (h->tpid == ETH_8021AD)
			set |= XRX_FLAG_VLAN_8021AD;
	}
	v->word = (v->word & ~(drop << XRX_AT_FLAGS)) | set << XRX_AT_FLAGS;
}

/*
 * Writes the metadata so that it ends at the packet. 0 when there is no room:
 * the packet then goes without, and user space must not believe the tag it finds.
 */
static __always_inline int stamp(struct xdp_md *ctx, const struct view *v,
				 __u64 timestamp)
{
	int len = timestamp ? sizeof(struct xrx_meta_ts) : sizeof(struct xrx_meta);
	__u32 *meta;

	if (refuse_meta)
		return 0;
	/* From none: a program starts with data_meta == data, and nothing runs
	 * before ours (xdp_prepare_buff in include/net/xdp.h at v6.18). */
	if (bpf_xdp_adjust_meta(ctx, -len))
		return 0;

	meta = (void *)(long)ctx->data_meta;
	if ((void *)meta + len > (void *)(long)ctx->data)
		return 0; /* can't be; the verifier wants to see it */
	if (timestamp) {
		meta[0] = timestamp;
		meta[1] = timestamp >> 32;
		meta += 2;
	}
	meta[0] = v->hash;
	meta[1] = v->word;
	meta[2] = v->word >> 32 |
		  (timestamp ? XRX_TAG_TIMESTAMP : XRX_TAG_PLAIN) << (XRX_AT_TAG - 32);
	return 1;
}

/*
 * Counts what a packet is besides redirected. The bytes of all its buffers are asked for only
 * where the first has less than the IP header says: only then is the helper's price due.
 */
static __always_inline void count_odd(struct xdp_md *ctx, __u32 odd, struct xrx_counts *c)
{
	__u64 has = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	struct xrx_told *t;
	__u32 zero = 0;

	if (odd & ODD_CUT)
		c->n[XRX_TOO_SHORT]++;
	if (odd & ODD_UNPARSED)
		c->n[XRX_UNPARSED]++;
	odd &= ODD_SAYS;
	if (!odd)
		return;
	if (frags)
		has = bpf_xdp_get_buff_len(ctx);
	if (has >= odd)
		return;
	c->n[XRX_TRUNCATED]++;
	t = bpf_map_lookup_elem(&told, &zero);
	if (t)
		*(volatile __u32 *)&t->truncated = has;
}

/* Sends the packet to the socket of its queue, if there is one. */
static __always_inline int redirect(struct xdp_md *ctx, struct xrx_counts *c)
{
	if (unlikely(bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS) != XDP_REDIRECT)) {
		c->n[XRX_NO_SOCKET]++;
		asm volatile(""); /* or both end in one place, and the way of most packets jumps there */
		return XDP_PASS;
	}
	c->n[XRX_REDIRECTED]++;
	return XDP_REDIRECT;
}

static __always_inline int receive(struct xdp_md *ctx, const int use_hints)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct xrx_counts *c = counts;
	struct hints h = {};
	struct view v;

	if (unlikely(cpu >= cpus))
		return XDP_PASS; /* can't be */
	asm volatile("" : "+r"(c)); /* the compiler knows of one entry only */
	c += cpu;
	asm volatile("" : "+r"(c)); /* one register from here on, not two */
	if (unlikely(disabled)) {
		c->n[XRX_DISABLED]++;
		return XDP_PASS;
	}
	if (no_meta && !matching)
		return redirect(ctx, c);

	parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &v);
	if (!match(ctx, &v)) {
		c->n[XRX_NOT_MATCHED]++;
		return XDP_PASS;
	}
	/* Ask for the socket before writing anything: what goes to the stack
	 * goes without metadata, which would keep its GRO from merging. */
	if (redirect(ctx, c) != XDP_REDIRECT)
		return XDP_PASS;
	if (unlikely(v.odd))
		count_odd(ctx, v.odd, c);
	if (no_meta)
		return XDP_REDIRECT;

	if (use_hints) {
		ask_nic(ctx, &h);
		apply_hints(&h, &v);
	}
	if (unlikely(!stamp(ctx, &v, h.timestamp))) {
		struct xrx_told *t;
		__u32 zero = 0;

		c->n[XRX_META_REFUSED]++;
		t = bpf_map_lookup_elem(&told, &zero);
		if (t)
			*(volatile __u32 *)&t->meta_refused = 1;
	}
	return XDP_REDIRECT;
}

SEC("xdp.frags")
int xrx_rx(struct xdp_md *ctx)
{
	return receive(ctx, 0);
}

/* Loads only when bound to a device whose driver offers metadata. */
SEC("xdp.frags")
int xrx_rx_hints(struct xdp_md *ctx)
{
	return receive(ctx, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
