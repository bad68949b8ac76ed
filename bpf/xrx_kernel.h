/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The few kernel facts the programs need, so that they compile the same with
 * any kernel headers (and without the per-architecture asm/ folder that a
 * -target bpf build doesn't find by itself).
 *
 * xdp_md, xdp_action and the map types are from include/uapi/linux/bpf.h, the RSS types and
 * the three kfuncs from include/net/xdp.h and net/core/xdp.c, all at v6.18.
 */
#ifndef XRX_KERNEL_H
#define XRX_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>

enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_XSKMAP = 17,
};

enum {
	BPF_F_MMAPABLE = 1 << 10, /* since v5.5 */
};

enum xdp_action {
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

/* Bits of an RSS type: which headers the NIC's hash covered. 0: no hash. */
enum xdp_rss_hash_type {
	XDP_RSS_L3_IPV4 = 1 << 0,
	XDP_RSS_L3_IPV6 = 1 << 1,
	XDP_RSS_L4 = 1 << 3,
};

/*
 * Weak: hash and timestamp came with v6.3, vlan_tag with v6.8. Each is called
 * only where the kernel has it (ksym_present), and answers with an error where the
 * driver hasn't.
 */
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx,
					 __u64 *timestamp) __weak __ksym;
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash,
				    enum xdp_rss_hash_type *rss_type) __weak __ksym;
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx,
					__be16 *vlan_proto,
					__u16 *vlan_tci) __weak __ksym;

#define ksym_present(sym) (!!(sym))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the metadata and the parser are written for little-endian machines"
#endif

/* A 16-bit number as it reads in network order. */
#define BE16(x) ((__u16)((((x) & 0xff) << 8) | (((x) >> 8) & 0xff)))

#endif
