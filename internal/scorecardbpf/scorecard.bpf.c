// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//go:build ignore

/*
 * XDP programs that make trouble for a receiver on purpose, one for each case
 * of the scorecard that takes another program than xrx's own. The cases are
 * those of the kernel's AF_XDP selftest (tools/testing/selftests/bpf/, xsk_xdp_progs.c at
 * v6.18, says what each must do).
 */
#include "xrx_kernel.h"
#include "xrx_meta.h"

/* Bytes that shrink_tail takes off; ShrinkBytes in programs.go. */
#define SHRINK 64

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1); /* all traffic of these cases is on queue 0 */
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* Packets seen. A veth queue is polled on one CPU at a time. */
__u32 seen;

static __always_inline int redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
}

/* Lets the first packet through, drops the second, and so on. */
SEC("xdp.frags")
int drop_half(struct xdp_md *ctx)
{
	if (seen++ & 1)
		return XDP_DROP;
	return redirect(ctx);
}

/* Numbers the packets from 1 in the hash field of otherwise empty metadata. */
SEC("xdp.frags")
int count_meta(struct xdp_md *ctx)
{
	struct xrx_meta *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return XDP_ABORTED;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED; /* can't be; the verifier wants to see it */
	__builtin_memset(meta, 0, sizeof(*meta));
	meta->hash = ++seen;
	meta->tag = XRX_TAG_PLAIN;
	return redirect(ctx);
}

/* Takes the last bytes off every packet. */
SEC("xdp.frags")
int shrink_tail(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_tail(ctx, -SHRINK))
		return XDP_ABORTED;
	return redirect(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
