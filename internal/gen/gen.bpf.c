// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//go:build ignore

/*
 * Writes the next frame of a stream into a live frame (BPF_PROG_RUN with
 * BPF_F_TEST_XDP_LIVE_FRAMES) and redirects it out of an interface. The
 * content is that of package gen's documentation; little-endian hosts only.
 *
 * The kernel takes frames from a pool and does not restore what happened to
 * them on their last way (a receiver may strip a VLAN tag in place). So every
 * byte that matters is written each time, and checksums are made from
 * constants, never from what the frame holds.
 *
 * All offsets are read-only constants by the time the program is verified: a
 * stream without TCP or with one size costs nothing for the other cases.
 */
#include "xrx_kernel.h"

#define MAX_SIZES 2048 /* power of two; maxSizes in stream.go */
#define MAX_FLOWS 1048576 /* power of two; MaxFlows in layout.go */
#define HEAD_WORDS 12 /* covers 22 + 40 + 32 bytes of headers */

struct config {
	__u32 ifindex; /* where to redirect to */
	__u32 flows;
	__u32 burst; /* consecutive frames of one flow */
	__u32 sizes; /* used of sizes[] */
	__u32 max_len; /* length of the frame that is handed in, bytes */
	__u32 l3; /* offset of the IP header */
	__u32 l4; /* offset of the TCP or UDP header */
	__u32 payload; /* offset of the L4 payload */
	__u32 src_port; /* of flow 0 */
	__u32 dst_port; /* of flow 0 */
	__u32 src_ports; /* flows per destination port */
	__u8 ipv6;
	__u8 tcp;
	__u8 stamp; /* write the time into the payload */
	__u8 pad[1];
};

struct size {
	__u16 len; /* frame, bytes */
	__u16 payload; /* L4 payload, bytes */
	__u32 ip_sum; /* of the IPv4 header, identification and checksum 0 */
	__u32 l4_sum; /* of pseudo-header and segment, for flow 0, sequence 0 */
};

struct flow {
	__u32 seq; /* TCP sequence number of the next frame */
	__u32 id; /* IPv4 identification of the next frame, low 16 bits */
};

/* Written by the program alone, one run at a time. */
struct state {
	__u64 next; /* sequence number of the next frame = frames redirected */
	__u64 bytes; /* of them */
	__u64 failed; /* runs that could not write a frame: a bug */
	__u32 flow;
	__u32 in_burst;
	__u32 size;
	__u32 call; /* that it was last run by */
	__u64 mark; /* when the last frame whose number 64 divides was sent, ns */
	__u64 timed; /* frames between two such frames of one call */
	__u64 timed_ns; /* the time that they took together */
};

const volatile struct config config;
const volatile struct size sizes[MAX_SIZES];
const volatile __u64 head[HEAD_WORDS]; /* first bytes of the frame handed in */
const volatile __u8 compact[16]; /* payload of a short frame */

struct state state;
struct flow flow_states[MAX_FLOWS];
/* Frames to send. User space sets it to 0 to stop: the rest of a call is dropped, quickly. */
volatile __u64 limit;
/* User space counts its calls here: the kernel takes some time before the first frame of each. */
volatile __u32 call;

/* Where a clock is read: for a reading a frame would be dear. */
#define TIMED 64

static __always_inline __u16 checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return __builtin_bswap16(~sum);
}

static __always_inline __u32 add32(__u32 sum, __u32 v)
{
	return sum + (v >> 16) + (v & 0xffff);
}

#define PUT16(at, v) (*(__u16 *)(at) = __builtin_bswap16(v))
#define PUT32(at, v) (*(__u32 *)(at) = __builtin_bswap32(v))
#define PUT64(at, v) (*(__u64 *)(at) = __builtin_bswap64(v))

/* Writes the frame; 0 when it does not fit, which user space ruled out. */
static __always_inline int write_frame(struct xdp_md *ctx, struct flow *f,
				       const volatile struct size *size)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 flow = state.flow, l4_len, sum;
	__u32 src_port = config.src_port + flow, dst_port = config.dst_port;
	__u64 seq = state.next;
	void *l3, *l4, *p;
	int i;

#pragma unroll
	for (i = 0; i < HEAD_WORDS; i++)
		if (data + 8 * i + 8 <= end)
			*(__u64 *)(data + 8 * i) = head[i];

	if (flow >= config.src_ports) { /* a division for the few who need it */
		__u32 more = flow / config.src_ports;

		src_port -= more * config.src_ports;
		dst_port += more;
	}
	l3 = data + config.l3;
	l4 = data + config.l4;
	p = data + config.payload;
	if (p + 6 > end)
		return 0;
	l4_len = size->payload + config.payload - config.l4;

	if (config.ipv6) {
		PUT16(l3 + 4, l4_len);
	} else {
		PUT16(l3 + 2, l4_len + 20);
		PUT16(l3 + 4, f->id);
		*(__u16 *)(l3 + 10) = checksum(size->ip_sum + (f->id & 0xffff));
	}

	sum = size->l4_sum + src_port - config.src_port + dst_port - config.dst_port;
	sum = add32(sum, seq);
	sum = add32(sum, seq >> 32);
	PUT16(l4, src_port);
	PUT16(l4 + 2, dst_port);
	if (size->payload < 16) {
		sum -= seq >> 48; /* 48 bits of it are sent */
		PUT16(p, seq >> 32);
		PUT32(p + 2, seq);
#pragma unroll
		for (i = 6; i < 16; i++)
			if (p + i + 1 <= end)
				*(__u8 *)(p + i) = compact[i];
	} else {
		if (p + 16 > end)
			return 0;
		sum = add32(sum, flow);
		PUT64(p, seq);
		PUT32(p + 8, flow);
		if (config.stamp) {
			__u64 now = bpf_ktime_get_ns();

			if (p + 22 > end)
				return 0;
			PUT32(p + 12, 0x00787274); /* shift 0, "xrt" */
			PUT16(p + 16, now >> 32);
			PUT32(p + 18, now);
			sum = add32(sum, now);
			sum += (now >> 32) & 0xffff;
		} else {
			PUT32(p + 12, 0x00787278); /* shift 0, "xrx" */
		}
	}
	if (config.tcp) {
		sum = add32(sum, f->seq);
		PUT32(l4 + 4, f->seq);
		*(__u16 *)(l4 + 16) = checksum(sum);
	} else {
		__u16 c = checksum(sum);

		PUT16(l4 + 4, l4_len);
		*(__u16 *)(l4 + 6) = c ? c : 0xffff; /* RFC 768: 0 means none */
	}
	return 1;
}

static __always_inline void take_time(void)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 this_call = call;

	if (state.call == this_call) {
		state.timed += TIMED;
		state.timed_ns += now - state.mark;
	}
	state.call = this_call;
	state.mark = now;
}

SEC("xdp")
int xrx_gen(struct xdp_md *ctx)
{
	const volatile struct size *size = &sizes[state.size & (MAX_SIZES - 1)];
	struct flow *f = &flow_states[state.flow & (MAX_FLOWS - 1)];

	if (state.next >= limit)
		return XDP_DROP;
	if (config.sizes > 1 && size->len != config.max_len &&
	    bpf_xdp_adjust_tail(ctx, (int)size->len - (int)config.max_len))
		goto failed;
	if (!write_frame(ctx, f, size))
		goto failed;
	if (!(state.next % TIMED))
		take_time();

	f->seq += size->payload;
	f->id++;
	state.next++;
	state.bytes += size->len;
	if (++state.size >= config.sizes)
		state.size = 0;
	if (++state.in_burst >= config.burst) {
		state.in_burst = 0;
		if (++state.flow >= config.flows)
			state.flow = 0;
	}
	return bpf_redirect(config.ifindex, 0);
failed:
	state.failed++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
