// rtegro - DPDK's GRO library on a trace, one request a line on standard input:
//
//	FILE MODE MILLISECONDS      MODE: pass | gro | gro+csum
//
// and one answer a line on standard output: ns per packet, packets in per packet out, part of the bursts not counted. A file
// is repeated {u32 little-endian length, frame}. A burst of 64 is copied into mbufs, then timed: GRO, flush, free.
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_gro.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_tcp.h>

#define BURST 64
#define WARM_UP 32
#define MAX_BURSTS (1 << 16)

struct frame { const uint8_t *data; uint32_t len; };
struct trace { char name[512]; uint8_t *bytes; struct frame *frames; size_t n; };

static struct rte_mempool *pool;
static uint64_t times[MAX_BURSTS], sorted[MAX_BURSTS];

static void die(const char *what)
{
	fprintf(stderr, "rtegro: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

// read_trace keeps the traces that it has read: the same few come again and again.
static struct trace *read_trace(const char *name)
{
	static struct trace known[16];
	size_t size, at, i;
	for (i = 0; i < RTE_DIM(known) && known[i].n; i++)
		if (!strcmp(known[i].name, name))
			return &known[i];
	if (i == RTE_DIM(known))
		die("too many traces");
	struct trace *t = &known[i];
	FILE *f = fopen(name, "rb");
	if (!f || fseek(f, 0, SEEK_END))
		die("can't read the trace");
	size = ftell(f);
	rewind(f);
	t->bytes = malloc(size);
	t->frames = calloc(size / 64 + 1, sizeof(*t->frames));
	if (!t->bytes || !t->frames || fread(t->bytes, 1, size, f) != size)
		die("can't read the trace");
	fclose(f);
	for (at = 0; at + 4 <= size; t->n++) {
		struct frame *fr = &t->frames[t->n];
		memcpy(&fr->len, t->bytes + at, 4);
		fr->data = t->bytes + at + 4;
		at += 4 + fr->len;
	}
	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

static void load(const struct frame *fr, struct rte_mbuf **m)
{
	if (rte_pktmbuf_alloc_bulk(pool, m, BURST))
		die("no mbufs");
	for (int i = 0; i < BURST; i++) {
		memcpy(rte_pktmbuf_append(m[i], fr[i].len), fr[i].data, fr[i].len);
		// What a NIC's receive path would have said; overwritten where the mode is to find out itself.
		m[i]->packet_type = fr[i].data[23] == IPPROTO_TCP ?
			RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP :
			RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP;
		m[i]->l2_len = 14;
		m[i]->l3_len = 20;
		m[i]->l4_len = fr[i].data[23] == IPPROTO_TCP ? fr[i].data[46] / 16 * 4 : 8;
	}
}

// check parses one packet and verifies its checksums. All frames of the traces are good.
static void check(struct rte_mbuf *m)
{
	struct rte_net_hdr_lens h;
	m->packet_type = rte_net_get_ptype(m, &h, RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
	m->l2_len = h.l2_len;
	m->l3_len = h.l3_len;
	m->l4_len = h.l4_len;
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, h.l2_len);
	if (rte_raw_cksum(ip, h.l3_len) != 0xffff)
		die("bad IPv4 checksum");
	if (rte_ipv4_udptcp_cksum_verify(ip, (char *)ip + h.l3_len))
		die("bad layer 4 checksum");
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void measure(const struct trace *t, bool gro, bool csum, uint64_t ms)
{
	struct rte_gro_param param = {.gro_types = RTE_GRO_TCP_IPV4, .max_flow_num = BURST, .max_item_per_flow = BURST};
	struct rte_mbuf *m[BURST];
	uint64_t in = 0, out = 0, end = 0, n = 0;
	size_t at = 0;

	for (int round = 0; n < MAX_BURSTS; round++) {
		if (at + BURST > t->n)
			at = 0;
		load(&t->frames[at], m);
		at += BURST;
		uint64_t t0 = now_ns();
		uint16_t left = BURST;
		if (csum)
			for (int i = 0; i < BURST; i++)
				check(m[i]);
		if (gro) // lightweight mode: everything is flushed before it returns
			left = rte_gro_reassemble_burst(m, BURST, &param);
		for (int i = 0; i < left; i++)
			rte_pktmbuf_free(m[i]);
		uint64_t t1 = now_ns();
		if (round < WARM_UP) {
			end = t1 + ms * 1000000;
			continue;
		}
		times[n++] = t1 - t0;
		in += BURST;
		out += left;
		if (t1 > end)
			break;
	}
	// As for the engines in Go: bursts of more than four times the median were interrupted.
	memcpy(sorted, times, n * sizeof(*times));
	qsort(sorted, n, sizeof(*sorted), by_value);
	uint64_t limit = 4 * sorted[n / 2], kept = 0, sum = 0;
	for (uint64_t i = 0; i < n; i++)
		if (times[i] <= limit) {
			sum += times[i];
			kept++;
		}
	printf("%f %f %f\n", (double)sum / kept / BURST, (double)in / out, (double)(n - kept) / n);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char name[512], mode[16];
	unsigned ms;
	if (rte_eal_init(argc, argv) < 0)
		die(rte_strerror(rte_errno));
	pool = rte_pktmbuf_pool_create("mbufs", 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool)
		die(rte_strerror(rte_errno));
	puts("ready");
	fflush(stdout);
	while (scanf("%511s %15s %u", name, mode, &ms) == 3)
		measure(read_trace(name), strcmp(mode, "pass"), !strcmp(mode, "gro+csum"), ms);
	rte_eal_cleanup();
	return 0;
}
