package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/netdev"
	"xrx/internal/progress"
	"xrx/stats"
)

// genFlags are the flags of xrx gen.
type genFlags struct {
	engine, proto, size, cpu       string
	srcMAC, dstMAC, src, dst, vlan string
	ipv6, force, json, stamp       bool
	flows, burst, queue            int
	count                          uint64
	duration                       time.Duration
	rate                           float64
	progress                       progress.When
}

func newGenCmd(e env) *cobra.Command {
	var f genFlags
	cmd := &cobra.Command{
		Use:   "gen IFACE",
		Short: "Send numbered, checkable test traffic out of an interface",
		Long: "gen sends UDP or TCP streams out of IFACE until --count, --duration or Ctrl-C. Every frame carries a sequence\n" +
			"number and content that a receiver can check. The engine is one of\n" +
			"  live    frames made inside the kernel by an XDP program: millions per second, not paced\n" +
			"  xsk     AF_XDP transmit\n" +
			"  packet  AF_PACKET, works everywhere\n" +
			"  auto    live where it works and no --rate is asked for, else packet\n" +
			"Sizes are bytes of a frame without its FCS.",
		Example: "  ip netns exec A xrx gen a0 --flows 256 --size 60-1514 --duration 10s\n" +
			"  ip netns exec A xrx gen a0 --engine packet --proto tcp --size 1514 --rate 100000 --count 1000000",
		Args: func(c *cobra.Command, args []string) error { return oneInterface(c, args) },
		RunE: func(c *cobra.Command, args []string) error { return runGen(c, e, &f, args[0]) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.engine, "engine", "auto", "what sends: auto, live, xsk or packet")
	fs.StringVar(&f.proto, "proto", "udp", "udp or tcp")
	fs.BoolVar(&f.ipv6, "ipv6", false, "IPv6 instead of IPv4 (also by an IPv6 --src or --dst)")
	fs.IntVar(&f.flows, "flows", 1, "number of flows, served in turn")
	fs.IntVar(&f.burst, "burst", 1, "frames of one flow in a row")
	fs.StringVar(&f.size, "size", "", "frame sizes, used in turn, like 64 or 60-1514 or 64,1500 (default 64, or the least that fits)")
	fs.Uint64Var(&f.count, "count", 0, "stop after that many frames (0: no limit)")
	fs.DurationVar(&f.duration, "duration", 0, "stop after that time (0: no limit)")
	fs.Float64Var(&f.rate, "rate", 0, "frames per second (0: as fast as it goes)")
	fs.BoolVar(&f.stamp, "stamp", false, "put the time into every frame, for xrx run --latency; sent to the microsecond, which keeps a processor busy")
	fs.StringVar(&f.srcMAC, "src-mac", "", "source MAC (default: the interface's)")
	fs.StringVar(&f.dstMAC, "dst-mac", "", "destination MAC (default: the veth peer's)")
	fs.StringVar(&f.src, "src", "", "source address (default: the interface's, else 10.11.0.1 or fd00:11::1)")
	fs.StringVar(&f.dst, "dst", "", "destination address (default: a static neighbour, else 10.11.0.2 or fd00:11::2)")
	fs.StringVar(&f.vlan, "vlan", "", "VLAN id, or outer and inner one, like 7 or 7,8")
	fs.IntVar(&f.queue, "queue", 0, "transmit queue (engine xsk)")
	fs.StringVar(&f.cpu, "cpu", "", "processors to send from, like 0 or 0,1 (default: not pinned)")
	fs.BoolVar(&f.json, "json", false, "print the summary as one JSON object")
	progressFlag(fs, &f.progress)
	fs.BoolVar(&f.force, "force", false, "send even on the interface that carries the default route or this SSH session")
	return cmd
}

func runGen(c *cobra.Command, e env, f *genFlags, iface string) error {
	s, o, err := f.parse(iface)
	if err != nil {
		return err
	}
	info, err := netdev.Get(iface)
	if err != nil {
		return err
	}
	if why := netdev.Lifeline(info); why != "" && !f.force {
		return fmt.Errorf("will not flood %s: %s (--force to do it all the same)", iface, why)
	}
	if err := s.Discover(iface, f.ipv6); err != nil {
		return err
	}
	if s.DstMAC == nil {
		return usagef("--dst-mac: %s does not tell whom it is connected to, say which", iface)
	}
	if err := s.Validate(); err != nil {
		return usageError{err}
	}
	engine, reason, err := f.open(s, o)
	if err != nil {
		return err
	}
	defer engine.Close()
	if !f.json {
		fmt.Fprintf(e.stdout, "sending on %s with engine %s\n", iface, engine.Name())
		if reason != "" {
			fmt.Fprintf(e.stdout, "  not live: %s\n", reason)
		}
	}
	line := progress.Start(progress.Config{When: f.progress, Out: e.stderr, Unit: "frames", Rate: "pps", State: f.state(iface, engine.Sent, time.Now())})
	r, err := engine.Run(c.Context())
	line.Stop()
	if reportErr := f.report(e, iface, reason, r); err == nil {
		err = reportErr
	}
	return err
}

// state returns how far a run is that began at a time: by frames or by time, whichever ends it first.
func (f *genFlags) state(iface string, sent func() uint64, began time.Time) func() progress.State {
	return func() progress.State {
		s := progress.State{What: "sending on " + iface, Done: sent(), Part: -1}
		if f.count > 0 {
			s.Part = float64(s.Done) / float64(f.count)
		}
		if f.duration > 0 {
			s.Part = max(s.Part, float64(time.Since(began))/float64(f.duration))
		}
		return s
	}
}

// open opens the engine asked for. reason is set where auto chose another than live.
func (f *genFlags) open(s gen.Stream, o gen.Options) (engine *gen.Engine, reason string, err error) {
	if f.engine == "auto" {
		return gen.OpenAuto(s, o)
	}
	engine, err = gen.Open(f.engine, s, o)
	return engine, "", err
}

// parse turns the flags into a stream and options. All its errors are usage errors.
func (f *genFlags) parse(iface string) (s gen.Stream, o gen.Options, err error) {
	switch f.engine {
	case "auto", gen.Live, gen.XSK, gen.Packet:
	default:
		return s, o, usagef("--engine %q: want auto, live, xsk or packet", f.engine)
	}
	switch f.proto {
	case "udp":
	case "tcp":
		s.TCP = true
	default:
		return s, o, usagef("--proto %q: want udp or tcp", f.proto)
	}
	if f.flows < 1 || f.flows > gen.MaxFlows {
		return s, o, usagef("--flows %d: want 1 to %d", f.flows, gen.MaxFlows)
	}
	if f.burst < 1 {
		return s, o, usagef("--burst %d: want at least 1", f.burst)
	}
	if !(f.rate >= 0 && f.rate <= 1e9) || f.duration < 0 || f.queue < 0 {
		return s, o, usagef("--rate, --duration and --queue can't be negative, nor the rate above 1e9")
	}
	if f.rate > 0 && f.engine == gen.Live {
		return s, o, usagef("--rate: engine live can't be paced, packet and xsk can")
	}
	s.Flows, s.Burst, s.Stamp = f.flows, f.burst, f.stamp
	if s.Sizes, err = parseSet("--size", f.size); err != nil {
		return s, o, err
	}
	for _, size := range s.Sizes {
		if size < frames.MinSize || size > gen.MaxSize {
			return s, o, usagef("--size %d: want %d to %d", size, frames.MinSize, gen.MaxSize)
		}
	}
	if err := f.addresses(&s); err != nil {
		return s, o, err
	}
	o = gen.Options{Iface: iface, Queue: f.queue, Count: f.count, Duration: f.duration, Rate: f.rate}
	o.CPUs, err = parseSet("--cpu", f.cpu)
	return s, o, err
}

// addresses reads the flags of the frames' headers.
func (f *genFlags) addresses(s *gen.Stream) error {
	for _, m := range []struct {
		flag, value string
		to          *net.HardwareAddr
	}{{"--src-mac", f.srcMAC, &s.SrcMAC}, {"--dst-mac", f.dstMAC, &s.DstMAC}} {
		if m.value == "" {
			continue
		}
		mac, err := net.ParseMAC(m.value)
		if err != nil || len(mac) != 6 {
			return usagef("%s %q: want six bytes like 02:00:00:00:00:01", m.flag, m.value)
		}
		*m.to = mac
	}
	for _, a := range []struct {
		flag, value string
		to          *netip.Addr
	}{{"--src", f.src, &s.Src}, {"--dst", f.dst, &s.Dst}} {
		if a.value == "" {
			continue
		}
		ip, err := netip.ParseAddr(a.value)
		if err != nil || ip.Zone() != "" {
			return usagef("%s %q: want an IPv4 or IPv6 address", a.flag, a.value)
		}
		*a.to = ip.Unmap()
		f.ipv6 = f.ipv6 || a.to.Is6()
	}
	for _, ip := range []netip.Addr{s.Src, s.Dst} {
		if ip.IsValid() && ip.Is6() != f.ipv6 {
			return usagef("%s: --src, --dst and --ipv6 speak of different IP versions", ip)
		}
	}
	return f.vlans(s)
}

func (f *genFlags) vlans(s *gen.Stream) error {
	if f.vlan == "" {
		return nil
	}
	for part := range strings.SplitSeq(f.vlan, ",") {
		id, err := strconv.ParseUint(part, 10, 16)
		if err != nil || id > 4094 || len(s.VLANs) == 2 {
			return usagef("--vlan %q: want an id up to 4094, or two: 7,8", f.vlan)
		}
		s.VLANs = append(s.VLANs, frames.VLAN{TCI: uint16(id)})
	}
	if len(s.VLANs) == 2 {
		s.VLANs[0].TPID = frames.TypeQinQ
	}
	return nil
}

// genSummary is the JSON form of what a run did.
type genSummary struct {
	Type     string  `json:"type"` // always "summary"
	Iface    string  `json:"iface"`
	Engine   string  `json:"engine"`
	NotLive  string  `json:"not_live,omitempty"`
	Frames   uint64  `json:"frames"`
	Bytes    uint64  `json:"bytes"`
	ElapsedS float64 `json:"elapsed_s"`
	SendingS float64 `json:"sending_s"` // of it, without what the engine does before its first frames
	PPS      float64 `json:"pps"`
	BPS      float64 `json:"bps"`
	Retries  uint64  `json:"retries"`
	Dropped  uint64  `json:"dropped"`
	Late     *late   `json:"late,omitempty"` // with --stamp
}

// late is by how much the sender itself was behind, in seconds.
type late struct {
	P50  float64 `json:"p50_s"`
	P99  float64 `json:"p99_s"`
	P999 float64 `json:"p999_s"`
	Max  float64 `json:"max_s"`
}

func (f *genFlags) report(e env, iface, reason string, r gen.Result) error {
	var behind *late
	if l := r.Late; l != nil {
		behind = &late{l.P50.Seconds(), l.P99.Seconds(), l.P999.Seconds(), l.Max.Seconds()}
	}
	if f.json {
		return json.NewEncoder(e.stdout).Encode(genSummary{
			Type: "summary", Iface: iface, Engine: r.Engine, NotLive: reason, Frames: r.Frames, Bytes: r.Bytes,
			ElapsedS: r.Elapsed.Seconds(), SendingS: r.Sending.Seconds(), PPS: r.PPS(), BPS: r.BitsPerSecond(), Retries: r.Retries, Dropped: r.Dropped, Late: behind,
		})
	}
	_, err := fmt.Fprintf(e.stdout, "sent %d frames, %d bytes in %.3f s: %s, %s; waited %d times for room, the interface dropped %d\n",
		r.Frames, r.Bytes, r.Elapsed.Seconds(), stats.SI(r.PPS(), "pps"), stats.SI(r.BitsPerSecond(), "bit/s"), r.Retries, r.Dropped)
	if behind != nil {
		fmt.Fprintf(e.stdout, "the sender itself was late by %v (median), %v (99 %%), %v (99.9 %%), %v at most\n", r.Late.P50, r.Late.P99, r.Late.P999, r.Late.Max)
	}
	return err
}
