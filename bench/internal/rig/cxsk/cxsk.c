// cxsk - the plain AF_XDP receive loop in C over libxdp, doing nothing with what it gets:
//   cxsk IFACE poll|busy             count
//   cxsk IFACE poll|busy seconds     also print what the kernel dropped, each second
//   cxsk IFACE poll|busy latency     also read the stamps of xrx gen --stamp: the only mode that touches packets and clock
//   cxsk IFACE poll|busy meta        also have the least metadata that there can be: the XDP program writes 12 constant bytes in
//                                    front of each packet, and the loop reads 4 of them
//
// Prints "ready" once packets are taken, and on SIGTERM a JSON object: packets, batches, system calls, ages of packets.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#define FRAMES 4096
#define RING 2048
#define CHUNK 2048
#define BATCH 64

static volatile sig_atomic_t stop;
static void on_signal(int s) { stop = s; }
static volatile sig_atomic_t second;
static void on_second(int s) { second = s; }

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Ages in buckets of at most 1/1024 of their value, as an HDR histogram's of three figures: bucket of 2048 per power of two.
#define SUB 2048
#define POWERS 27
static uint64_t ages[POWERS][SUB];

static void record(const uint8_t *packet, uint32_t len)
{
	const uint8_t *p = packet + 14 + 20 + 8; // IPv4 and UDP without options, as the source sends it
	if (len < 14 + 20 + 8 + 22 || memcmp(p + 13, "xrt", 3))
		return;
	int64_t stamp = 0, t = now();
	for (int i = 16; i < 22; i++)
		stamp = stamp << 8 | p[i];
	uint64_t age = (t - stamp) & ((1ULL << 48) - 1);
	int power = 0;
	while (age >> power >= SUB && power < POWERS - 1)
		power++;
	age >>= power;
	ages[power][age < SUB ? age : SUB - 1]++;
}

// What the kernel dropped since the socket was opened.
static void print_second(int fd, uint64_t packets)
{
	struct xdp_statistics s = {0};
	socklen_t len = sizeof(s);
	getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &len);
	printf("{\"at\":%lld,\"packets\":%" PRIu64 ",\"dropped\":%llu}\n", (long long)now(), packets,
	       (unsigned long long)(s.rx_dropped + s.rx_ring_full));
	fflush(stdout);
}

static void die(const char *what, int err)
{
	fprintf(stderr, "cxsk: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

// redirect loads: return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS), and before it what writes metadata.
static int redirect(int map, bool meta)
{
	enum { DATA = 0, DATA_META = 8, RX_QUEUE = 16, LEN = 12, WRITE = 13 }; // offsets in struct xdp_md; lengths
	struct bpf_insn prog[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = -LEN},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_xdp_adjust_meta},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .imm = 0, .off = 8},
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 6, .off = DATA_META},
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 6, .off = DATA},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 2},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = LEN},
		{.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 3},
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 2, .off = 0, .imm = 1},
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 2, .off = 4, .imm = 2},
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 2, .off = 8, .imm = 3},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6}, // the last of WRITE
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = RX_QUEUE},
		{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int skip = meta ? 0 : WRITE;
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "cxsk", "GPL", prog + skip, sizeof(prog) / sizeof(*prog) - skip, NULL);
	if (fd < 0)
		die("load program", errno);
	return fd;
}

int main(int argc, char **argv)
{
	struct xsk_umem_config ucfg = {.fill_size = RING, .comp_size = RING, .frame_size = CHUNK};
	struct xsk_socket_config cfg = {.rx_size = RING, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
					.bind_flags = XDP_USE_NEED_WAKEUP};
	struct xsk_ring_prod fill = {0}; // libxdp does not set all of it (xsk_create_umem_rings, 1.3: cached_prod)
	struct xsk_ring_cons comp = {0}, rx = {0};
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	uint64_t packets = 0, batches = 0, calls = 0, tags = 0;
	uint32_t at, to;
	int err;

	bool busy = argc >= 3 && !strcmp(argv[2], "busy");
	bool latency = argc == 4 && !strcmp(argv[3], "latency");
	bool seconds = argc == 4 && !strcmp(argv[3], "seconds");
	bool meta = argc == 4 && !strcmp(argv[3], "meta");
	int ifindex = argc >= 3 ? (int)if_nametoindex(argv[1]) : 0;
	if (!ifindex || argc > 4 || (argc == 4 && !latency && !seconds && !meta))
		die("usage: cxsk IFACE poll|busy [seconds|latency|meta]", EINVAL);
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);

	void *mem = mmap(NULL, FRAMES * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap", errno);
	if ((err = xsk_umem__create(&umem, mem, FRAMES * CHUNK, &fill, &comp, &ucfg)))
		die("UMEM", err);
	if ((err = xsk_socket__create(&xsk, argv[1], 0, umem, &rx, NULL, &cfg)))
		die("socket", err);
	int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsks", 4, 4, 64, NULL);
	if (map < 0 || (err = xsk_socket__update_xskmap(xsk, map)))
		die("socket map", map < 0 ? errno : err);
	if (xsk_ring_prod__reserve(&fill, RING, &at) != RING)
		die("fill ring", ENOBUFS);
	for (int i = 0; i < RING; i++)
		*xsk_ring_prod__fill_addr(&fill, at++) = (uint64_t)i * CHUNK;
	xsk_ring_prod__submit(&fill, RING);
	// A link, not a netlink attachment: it goes when this program does.
	int link = bpf_link_create(redirect(map, meta), ifindex, BPF_XDP, &(struct bpf_link_create_opts){
		.sz = sizeof(struct bpf_link_create_opts), .flags = XDP_FLAGS_DRV_MODE});
	if (link < 0)
		die("attach", errno);
	puts("ready");
	fflush(stdout);

	struct pollfd pfd = {.fd = xsk_socket__fd(xsk), .events = POLLIN};
	if (seconds) {
		struct sigaction sa = {.sa_handler = on_second};
		sigaction(SIGALRM, &sa, NULL);
		struct itimerval each = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
		setitimer(ITIMER_REAL, &each, NULL);
		print_second(pfd.fd, 0);
	}
	while (!stop) {
		if (second) {
			second = 0;
			print_second(pfd.fd, packets);
		}
		uint32_t n = xsk_ring_cons__peek(&rx, BATCH, &at);
		if (!n) {
			if (!busy) {
				calls++;
				poll(&pfd, 1, 100);
			} else if (xsk_ring_prod__needs_wakeup(&fill)) {
				calls++;
				recvfrom(pfd.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
			}
			continue;
		}
		// The kernel shows packets before it shows that their places in the fill ring are free (net/xdp/xsk.c, xsk_flush).
		while (xsk_ring_prod__reserve(&fill, n, &to) != n)
			;
		if (latency)
			for (uint32_t i = 0; i < n; i++) {
				const struct xdp_desc *d = xsk_ring_cons__rx_desc(&rx, at + i);
				record((uint8_t *)mem + d->addr, d->len);
			}
		if (meta)
			for (uint32_t i = 0; i < n; i++)
				tags += *(uint32_t *)((uint8_t *)mem + xsk_ring_cons__rx_desc(&rx, at + i)->addr - 4);
		for (uint32_t i = 0; i < n; i++)
			*xsk_ring_prod__fill_addr(&fill, to++) =
				xsk_ring_cons__rx_desc(&rx, at++)->addr & ~(uint64_t)(CHUNK - 1);
		xsk_ring_cons__release(&rx, n);
		xsk_ring_prod__submit(&fill, n);
		packets += n;
		batches++;
	}
	if (meta && tags != 3 * packets)
		die("metadata of some packets is not what the program wrote", EPROTO);
	printf("{\"packets\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"syscalls\":%" PRIu64 ",\"ages\":[", packets, batches, calls);
	const char *comma = "";
	for (int i = 0; i < POWERS; i++)
		for (int j = 0; j < SUB; j++)
			if (ages[i][j]) {
				printf("%s[%" PRIu64 ",%" PRIu64 "]", comma, ((uint64_t)j << i) + (((uint64_t)1 << i) >> 1), ages[i][j]);
				comma = ",";
			}
	puts("]}");
	close(link);
	xsk_socket__delete(xsk);
	xsk_umem__delete(umem);
	return 0;
}
