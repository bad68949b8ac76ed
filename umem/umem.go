package umem

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	"xrx/internal/sys"
)

// PacketHeadroom is XDP_PACKET_HEADROOM (include/uapi/linux/bpf.h): the bytes between H and the packet.
const PacketHeadroom = 256

// DefaultHeadroom is H where nothing else is asked for: the hidden header, and 64 bytes that nobody uses. In copy mode
// packets are then copied to offset 448 of their chunks, which takes less time than to 384 (docs/adr/0019).
const DefaultHeadroom = HeaderSize + 64

// Config describes a region. The zero value of a field means its default.
type Config struct {
	Frames    int  // number of chunks; default 4096
	ChunkSize int  // bytes per chunk: 2048 or 4096; with Unaligned anything from 2048 to 65472; default 2048
	Headroom  int  // H, bytes for the hidden header: a multiple of 64, at least HeaderSize; default DefaultHeadroom
	Unaligned bool // XDP_UMEM_UNALIGNED_CHUNK_FLAG: chunk sizes that are no power of two
	HugePages bool // back the region with 2 MiB pages; falls back to normal pages, and HugeErr says why
}

// Umem is a region of frames. Its geometry is fixed by New; its frames belong to the pools made by Split.
type Umem struct {
	cfg     Config
	mem     []byte
	mapped  bool // mem is ours to unmap
	base    unsafe.Pointer
	stride  uint64 // bytes from one chunk to the next: ChunkSize rounded up to 64
	end     uint64 // Frames*stride: where the chunks end; the mapping may go on to the end of a page. 0 once closed
	mask    uint64 // aligned: ChunkSize-1
	posted  []bool // which frames are Filling, by slot: the goroutine of the frame's pool writes it
	magic   uint64
	pools   []*Pool
	HugeErr error // why huge pages were asked for and not given; nil otherwise
}

// Validate says what is wrong with the configuration, if anything, as New would.
func (c Config) Validate() error { return c.validate() }

func (c *Config) validate() error {
	if c.Frames == 0 {
		c.Frames = 4096
	}
	if c.ChunkSize == 0 {
		c.ChunkSize = 2048
	}
	if c.Headroom == 0 {
		c.Headroom = DefaultHeadroom
	}
	switch {
	case c.Frames < 1 || c.Frames > 1<<24:
		return fmt.Errorf("umem: %d frames: want 1 to %d", c.Frames, 1<<24)
	case !c.Unaligned && c.ChunkSize != 2048 && c.ChunkSize != 4096:
		return fmt.Errorf("umem: chunk size %d: aligned chunks are 2048 or 4096 bytes (a power of two, at most a page); other sizes need Unaligned (--unaligned)", c.ChunkSize)
	case c.Unaligned && (c.ChunkSize < 2048 || c.ChunkSize > 65472):
		return fmt.Errorf("umem: chunk size %d: unaligned chunks are 2048 to 65472 bytes (Linux up to 6.18 takes at most a page, also in huge pages)", c.ChunkSize)
	case uint64(c.Frames)*uint64(strideOf(*c)) > maxRegion:
		return fmt.Errorf("umem: %d chunks of %d bytes are more than %d GiB", c.Frames, c.ChunkSize, maxRegion>>30)
	case c.Headroom < HeaderSize || c.Headroom%64 != 0:
		return fmt.Errorf("umem: headroom %d: want a multiple of 64, at least %d for the hidden header", c.Headroom, HeaderSize)
	case c.Headroom > c.ChunkSize-PacketHeadroom-64:
		return fmt.Errorf("umem: headroom %d leaves no room for packets in chunks of %d bytes (%d go to XDP)", c.Headroom, c.ChunkSize, PacketHeadroom)
	}
	return nil
}

// New maps a region and writes a header into every chunk. All frames start without a home: call Split.
func New(cfg Config) (*Umem, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	mem, hugeErr, err := sys.MapRegion(regionSize(cfg), cfg.HugePages)
	if err != nil {
		return nil, fmt.Errorf("umem: map %d MiB: %w", regionSize(cfg)>>20, err)
	}
	u, err := build(mem, cfg)
	if err != nil {
		return nil, errors.Join(err, sys.Unmap(mem))
	}
	u.mapped, u.HugeErr = true, hugeErr
	return u, nil
}

// NewOn builds a Umem in memory that the caller provides and keeps: for tests without root and under the race
// detector, which only watches Go's own memory. mem must be 64-byte aligned and large enough.
func NewOn(mem []byte, cfg Config) (*Umem, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if need := regionSize(cfg); len(mem) < need {
		return nil, fmt.Errorf("umem: %d bytes of memory, %d needed", len(mem), need)
	}
	return build(mem, cfg)
}

// maxRegion is as far as a Ref reaches.
const maxRegion = (1<<32 - 1) * refUnit

func strideOf(c Config) int     { return (c.ChunkSize + refUnit - 1) &^ (refUnit - 1) }
func regionSize(cfg Config) int { return (cfg.Frames*strideOf(cfg) + 4095) &^ 4095 }

func build(mem []byte, cfg Config) (*Umem, error) {
	u := &Umem{cfg: cfg, mem: mem, base: unsafe.Pointer(unsafe.SliceData(mem)), stride: uint64(strideOf(cfg)), end: uint64(cfg.Frames * strideOf(cfg)), mask: uint64(cfg.ChunkSize - 1)}
	if uintptr(u.base)%refUnit != 0 {
		return nil, fmt.Errorf("umem: memory at %p is not aligned to %d bytes", u.base, refUnit)
	}
	var seed [8]byte
	rand.Read(seed[:]) // never fails since Go 1.24
	u.magic = binary.LittleEndian.Uint64(seed[:])
	u.posted = make([]bool, slot(u.end)+1)
	for i := range cfg.Frames {
		off := uint64(i) * u.stride
		h := u.at(off)
		*h = Header{magic: u.magicAt(off), index: uint32(i), gen: 1}
	}
	return u, nil
}

// magicAt mixes the offset into the magic, so that a header copied to another chunk is as wrong as a smashed one.
func (u *Umem) magicAt(off uint64) uint64 { return u.magic ^ bits.RotateLeft64(off, 32) }

// Split cuts the frames into n pools of (almost) equal size, one per queue, all frames free. It is called once.
func (u *Umem) Split(n int) ([]*Pool, error) {
	switch {
	case u.pools != nil:
		return nil, errors.New("umem: already split into pools")
	case n < 1 || n > u.cfg.Frames || n > 1<<16-1:
		return nil, fmt.Errorf("umem: can't split %d frames into %d pools", u.cfg.Frames, n)
	}
	u.pools = make([]*Pool, n)
	for i := range u.pools {
		lo, hi := i*u.cfg.Frames/n, (i+1)*u.cfg.Frames/n
		u.pools[i] = newPool(u, uint16(i), lo, hi)
	}
	return u.pools, nil
}

// Chunk returns the frame whose chunk contains the byte at the given offset of the region, in either chunk mode. It
// reads the header's magic: an offset outside the region is ForeignAddress, a smashed header Corrupt.
func (u *Umem) Chunk(off uint64) (*Header, error) {
	i := off / u.stride
	if off >= u.end {
		return nil, &MisuseError{Kind: ForeignAddress, Frame: -1}
	}
	h := u.at(i * u.stride)
	if h.magic != u.magicAt(i*u.stride) {
		return nil, &MisuseError{Kind: Corrupt, Frame: int(i)}
	}
	return h, nil
}

// Pool returns the home of a frame.
func (u *Umem) Pool(h *Header) *Pool { return u.pools[h.home] }

// Frame returns frame i of the region.
func (u *Umem) Frame(i int) *Header { return u.at(uint64(i) * u.stride) }

// State returns who owns a frame. The further buffers of a delivered packet say who owned them before: they are delivered
// because the first one is. Only meaningful on the goroutine of the frame's pool, or between runs.
func (u *Umem) State(h *Header) State {
	if u.posted[slot(u.chunkOf(h))] {
		return Filling
	}
	return h.state
}

// place takes an address of a descriptor apart: chunk base plus offset, or base | offset<<48 for unaligned chunks
// (include/uapi/linux/if_xdp.h, XSK_UNALIGNED_BUF_OFFSET_SHIFT). The base may be beyond the region.
func (u *Umem) place(addr uint64) (base, off uint64) {
	if u.cfg.Unaligned {
		return u.placeUnaligned(addr)
	}
	return addr &^ u.mask, addr & u.mask
}

func (u *Umem) placeUnaligned(addr uint64) (base, off uint64) {
	base, off = addr&(1<<48-1), addr>>48
	rest := base % u.stride // not 0: some drivers add the offset to the base instead
	return base - rest, off + rest
}

// slot is where a chunk stands in a table with one place for every 2048 bytes, which is the least that lies between
// two chunks: found by a shift for chunks of any size.
func slot(base uint64) uint64 { return base >> 11 }

// Config returns the geometry with defaults filled in.
func (u *Umem) Config() Config { return u.cfg }

// Memory returns the whole region: for XDP_UMEM_REG, and for nobody else.
func (u *Umem) Memory() []byte { return u.mem }

// Usable returns the most bytes a packet can have in one chunk: what is left after H and XDP's headroom.
// Drivers may use less (a tailroom for skb_shared_info, a cut at a power of two): believe the descriptors.
func (u *Umem) Usable() int { return u.cfg.ChunkSize - u.cfg.Headroom - PacketHeadroom }

// PacketOffset returns where a packet starts in its chunk when no XDP program moved it.
func (u *Umem) PacketOffset() int { return u.cfg.Headroom + PacketHeadroom }

// Tailroom returns the bytes between the end of h's packet and the end of its chunk.
func (u *Umem) Tailroom(h *Header) int { return u.cfg.ChunkSize - int(h.Off) - int(h.Len) }

// Headroom returns the bytes a consumer may write in front of h's packet. The BPF metadata lies in its tail: read
// Meta first.
func (u *Umem) Headroom(h *Header) int { return int(h.Off) - u.cfg.Headroom }

// Close unmaps the region. Frames that are not home (delivered, sending, held, still with the kernel) keep it mapped:
// the memory under somebody's hands is never taken away; the error says where they are, and Close can be called again.
func (u *Umem) Close() error {
	if u.mem == nil {
		return nil
	}
	for _, p := range u.pools {
		p.Reclaim()
		if l := p.Counts(); l.Free != l.Total {
			return fmt.Errorf("umem: %d frames of pool %d are not home: memory stays mapped (%v)", l.Total-l.Free, p.id, l)
		}
	}
	mem := u.mem
	u.mem, u.base, u.end = nil, nil, 0 // any address is foreign from now on
	if !u.mapped {
		return nil
	}
	return sys.Unmap(mem)
}
