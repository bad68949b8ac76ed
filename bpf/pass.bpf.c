// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//go:build ignore

/*
 * Passes every packet. A veth delivers redirected frames only where its peer
 * runs native XDP (or GRO): this is the least program that makes it so.
 */
#include "xrx_kernel.h"

SEC("xdp.frags")
int xrx_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
