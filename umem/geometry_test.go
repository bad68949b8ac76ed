package umem

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestGeometryOfEachChunkLayout(t *testing.T) {
	for _, c := range []struct {
		name                   string
		cfg                    Config
		frames, chunk, headers int
		usable, offset         int
		stride                 uint64
	}{
		{"the zero Config is 4096 chunks of 2048", Config{}, 4096, 2048, 192, 1600, 448, 2048},
		{"chunks of a page", Config{Frames: 8, ChunkSize: 4096}, 8, 4096, 192, 3648, 448, 4096},
		{"a larger headroom leaves less for packets", Config{Frames: 8, Headroom: 256}, 8, 2048, 256, 1536, 512, 2048},
		{"the largest headroom leaves 64 bytes", Config{Frames: 8, Headroom: 1728}, 8, 2048, 1728, 64, 1984, 2048},
		{"unaligned chunks of 3000 begin 3008 apart", Config{Frames: 8, ChunkSize: 3000, Unaligned: true}, 8, 3000, 192, 2552, 448, 3008},
		{"unaligned chunks may be 2048", Config{Frames: 8, ChunkSize: 2048, Unaligned: true}, 8, 2048, 192, 1600, 448, 2048},
		{"unaligned chunks of an odd size", Config{Frames: 5, ChunkSize: 2049, Unaligned: true}, 5, 2049, 192, 1601, 448, 2112},
		{"the largest unaligned chunk", Config{Frames: 3, ChunkSize: 65472, Unaligned: true}, 3, 65472, 192, 65024, 448, 65472},
		{"a single frame", Config{Frames: 1}, 1, 2048, 192, 1600, 448, 2048},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, ps := region(t, c.cfg, 1)
			g := u.Config()
			if g.Frames != c.frames || g.ChunkSize != c.chunk || g.Headroom != c.headers {
				t.Errorf("geometry %+v", g)
			}
			if u.Usable() != c.usable || u.PacketOffset() != c.offset || u.stride != c.stride {
				t.Errorf("usable %d, packets at %d, stride %d", u.Usable(), u.PacketOffset(), u.stride)
			}
			if ps[0].Total() != c.frames || ps[0].In(Free) != c.frames {
				t.Errorf("pool has %d frames, %d free", ps[0].Total(), ps[0].In(Free))
			}
			h := take(t, ps[0], 1)[0]
			if u.Headroom(h) != PacketHeadroom || u.Tailroom(h) != c.usable-60 {
				t.Errorf("headroom %d, tailroom %d of a packet of 60", u.Headroom(h), u.Tailroom(h))
			}
			if len(h.Bytes()) != 60 || cap(h.Bytes()) != 60 {
				t.Errorf("bytes %d of %d: appending must not run into the tailroom", len(h.Bytes()), cap(h.Bytes()))
			}
			mustBalance(t, ps[0])
		})
	}
}

func TestAGeometryThatCannotWorkIsRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"negative frames", Config{Frames: -1}, "-1 frames"},
		{"more frames than an index holds", Config{Frames: 1<<24 + 1}, "16777217 frames"},
		{"aligned chunk of 1024", Config{ChunkSize: 1024}, "chunk size 1024: aligned"},
		{"aligned chunk of 8192", Config{ChunkSize: 8192}, "chunk size 8192: aligned"},
		{"aligned chunk of no power of two", Config{ChunkSize: 3000}, "other sizes need Unaligned"},
		{"unaligned chunk below 2048", Config{ChunkSize: 2047, Unaligned: true}, "chunk size 2047: unaligned"},
		{"unaligned chunk that a 16 bit offset can't cross", Config{ChunkSize: 65473, Unaligned: true}, "chunk size 65473: unaligned"},
		{"headroom too small for the header", Config{Headroom: 64}, "headroom 64"},
		{"headroom that is no multiple of 64", Config{Headroom: 130}, "headroom 130"},
		{"negative headroom", Config{Headroom: -64}, "headroom -64"},
		{"headroom that leaves no packet", Config{Headroom: 1792}, "no room for packets"},
		{"a region beyond the reach of a Ref", Config{Frames: 1 << 24, ChunkSize: 65472, Unaligned: true}, "more than 255 GiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: %v, want %q", err, c.want)
			}
			if _, err := NewOn(make([]byte, 4096), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("NewOn: %v, want %q", err, c.want)
			}
		})
	}
}

func TestMemoryThatIsTooSmallOrCrookedIsRefused(t *testing.T) {
	if _, err := NewOn(aligned(4095), Config{Frames: 2}); err == nil || !strings.Contains(err.Error(), "4095 bytes of memory, 4096 needed") {
		t.Errorf("too small: %v", err)
	}
	if _, err := NewOn(aligned(1 << 16)[8:], Config{Frames: 2}); err == nil || !strings.Contains(err.Error(), "not aligned to 64") {
		t.Errorf("crooked: %v", err)
	}
}

func TestSplitGivesEveryFrameOneHome(t *testing.T) {
	for _, c := range []struct{ frames, pools int }{{1, 1}, {8, 1}, {8, 8}, {10, 3}, {4096, 7}} {
		u, ps := region(t, Config{Frames: c.frames}, c.pools)
		total := 0
		for _, p := range ps {
			total += p.Total()
			if d := p.Total() - c.frames/c.pools; d < 0 || d > 1 {
				t.Errorf("%d frames in %d pools: one has %d", c.frames, c.pools, p.Total())
			}
			mustBalance(t, p)
		}
		if total != c.frames {
			t.Errorf("%d frames in %d pools: %d have a home", c.frames, c.pools, total)
		}
		for i := range c.frames {
			p := u.Pool(u.Frame(i))
			if i < int(p.lo) || i >= int(p.hi) || u.Frame(i).Index() != i {
				t.Fatalf("frame %d says it is %d of pool %d..%d", i, u.Frame(i).Index(), p.lo, p.hi)
			}
		}
	}
}

func TestSplitRefusesWhatMakesNoPools(t *testing.T) {
	u, err := NewOn(aligned(regionSize(Config{Frames: 4, ChunkSize: 2048})), Config{Frames: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 0, 5, 1 << 16} {
		if _, err := u.Split(n); err == nil {
			t.Errorf("4 frames were split into %d pools", n)
		}
	}
	if _, err := u.Split(2); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Split(2); err == nil {
		t.Error("split twice")
	}
}

// From any byte of a chunk, header and gaps included, there is a way to its frame, and from no byte elsewhere.
func TestEveryByteOfAChunkLeadsToItsFrame(t *testing.T) {
	for _, cfg := range []Config{{Frames: 3}, {Frames: 3, ChunkSize: 4096}, {Frames: 3, ChunkSize: 3000, Unaligned: true}, {Frames: 3, ChunkSize: 2049, Unaligned: true}} {
		t.Run(fmt.Sprint(cfg.ChunkSize), func(t *testing.T) {
			u, _ := region(t, cfg, 1)
			for i := range cfg.Frames {
				for b := range int(u.stride) {
					off := i*int(u.stride) + b
					h, err := u.Chunk(uint64(off))
					if err != nil || h.Index() != i {
						t.Fatalf("byte %d of chunk %d: frame %v, %v", b, i, h, err)
					}
					if of, err := u.Of(u.mem[off:]); err != nil || of != h {
						t.Fatalf("Of byte %d of chunk %d: %v", b, i, err)
					}
				}
				if h := u.Frame(i); u.Deref(u.RefOf(h)) != h || u.chunkOf(h) != uint64(i)*u.stride {
					t.Fatalf("frame %d: the way by Ref leads elsewhere", i)
				}
			}
			for _, off := range []uint64{u.end, u.end + 1, 1 << 40, ^uint64(0)} {
				wantForeign(t, off, func() error { _, err := u.Chunk(off); return err }())
			}
			_, err := u.Of(make([]byte, 1))
			wantForeign(t, 0, err)
			_, err = u.Of(nil)
			wantForeign(t, 0, err)
		})
	}
	if u, _ := region(t, Config{Frames: 1}, 1); u.Deref(0) != nil {
		t.Error("Ref 0 names a frame")
	}
}

func wantForeign(t *testing.T, off uint64, err error) {
	t.Helper()
	var m *MisuseError
	if !errors.As(err, &m) || m.Kind != ForeignAddress {
		t.Errorf("offset %#x: %v, want an address outside the UMEM", off, err)
	}
}

func TestASmashedHeaderIsCorruptFromAnyByte(t *testing.T) {
	u, _ := region(t, Config{Frames: 3}, 1)
	u.mem[2048] ^= 1
	for _, b := range []int{0, 1, 500, 2047} {
		var m *MisuseError
		if _, err := u.Of(u.mem[2048+b:]); !errors.As(err, &m) || m.Kind != Corrupt || m.Frame != 1 {
			t.Errorf("byte %d: %v", b, err)
		}
	}
	if _, err := u.Chunk(0); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
	if _, err := u.Chunk(4096); err != nil {
		t.Errorf("the other neighbour: %v", err)
	}
}

func TestAHeaderCopiedToAnotherChunkIsCorruptThere(t *testing.T) {
	u, _ := region(t, Config{Frames: 2}, 1)
	copy(u.mem[2048:2048+HeaderSize], u.mem[:HeaderSize])
	var m *MisuseError
	if _, err := u.Chunk(2048); !errors.As(err, &m) || m.Kind != Corrupt {
		t.Errorf("%v", err)
	}
}

func TestNewMapsTheRegionAndCloseUnmapsIt(t *testing.T) {
	for _, cfg := range []Config{{Frames: 33}, {Frames: 16, ChunkSize: 4096, HugePages: true}} {
		u, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if !cfg.HugePages && u.HugeErr != nil {
			t.Errorf("huge pages were not asked for: %v", u.HugeErr)
		}
		if u.HugeErr != nil && !strings.Contains(u.HugeErr.Error(), "nr_hugepages") {
			t.Errorf("the reason does not say what to do: %v", u.HugeErr)
		}
		ps, err := u.Split(1)
		if err != nil {
			t.Fatal(err)
		}
		mustBalance(t, ps[0])
		for range 2 { // Close is idempotent
			if err := u.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := u.Chunk(0); err == nil {
			t.Error("a closed region has frames")
		}
		if _, f := ps[0].Receive(448, 60); f != BadAddress {
			t.Errorf("a closed region receives: %v", f)
		}
	}
}

func TestCloseRefusesWhileAFrameIsOutAndWorksOnceItIsHome(t *testing.T) {
	for _, c := range []struct {
		name string
		out  func(*Pool) (back func())
	}{
		{"with the kernel", func(p *Pool) func() { p.Fill(make([]uint64, 2)); return p.TakeBack }},
		{"received", func(p *Pool) func() { h := take(t, p, 1)[0]; return func() { p.Drop(h) } }},
		{"held", func(p *Pool) func() { h := take(t, p, 1)[0]; p.Hold(h); return func() { p.Drop(h) } }},
		{"with a consumer", func(p *Pool) func() { h, gen := delivered(t, p); return func() { p.ReleaseLocal(h, gen) } }},
		{"with a consumer elsewhere", func(p *Pool) func() { h, gen := delivered(t, p); return func() { p.Release(h, gen) } }},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := New(Config{Frames: 4})
			if err != nil {
				t.Fatal(err)
			}
			ps, err := u.Split(2)
			if err != nil {
				t.Fatal(err)
			}
			back := c.out(ps[1])
			if err := u.Close(); err == nil || !strings.Contains(err.Error(), "of pool 1 are not home") {
				t.Fatalf("closed over frames that are out: %v", err)
			}
			u.Memory()[0] = u.Memory()[0] // still mapped, or this is the end
			back()
			if err := u.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
