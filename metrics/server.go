package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ParseAddr reads where to listen. A port alone, 9780 or :9780, means loopback, and so does localhost: counters are
// not for the whole network by accident. Any other address must be written out as an IP address, 192.0.2.1:9780, or
// 0.0.0.0:9780 and [::]:9780 for all; a name is refused, since what it stands for may change. Port 0 takes a free one.
func ParseAddr(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil && !strings.ContainsAny(s, ":[]") {
		host, port, err = "", s, nil
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q: want a port, or address:port like 127.0.0.1:9780", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q: port %q: want 0 to 65535", s, port)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q: %q is not an IP address; to listen elsewhere than on loopback, write the address out", s, host)
	}
	return netip.AddrPortFrom(addr, uint16(n)), nil
}

// scrapes that may run at once: each asks every queue.
const scrapes = 2

// Handler serves /metrics and /healthz, which is 200 while every queue receives and 503 otherwise.
func Handler(collectors ...*Collector) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes, EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if slices.ContainsFunc(collectors, func(c *Collector) bool { return !c.source.Registered() }) {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "not receiving\n")
			return
		}
		io.WriteString(w, "receiving\n")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "xrx: /metrics, /healthz\n")
	})
	return mux, nil
}

// Server serves metrics from Serve to Close.
type Server struct {
	http  http.Server
	addr  net.Addr
	ended chan error
}

// Serve listens on addr, in the network namespace of the calling thread, and serves until Close.
func Serve(addr netip.AddrPort, collectors ...*Collector) (*Server, error) {
	h, err := Handler(collectors...)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	network := "tcp"
	if addr.Addr().Is4() {
		network = "tcp4" // 0.0.0.0 would be all of IPv6 too
	}
	l, err := net.Listen(network, addr.String())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	s := &Server{http: http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14},
		addr: l.Addr(), ended: make(chan error, 1)}
	go func() { s.ended <- s.http.Serve(l) }()
	return s, nil
}

// URL is where the metrics are.
func (s *Server) URL() string { return "http://" + s.addr.String() + "/metrics" }

// closeTimeout is how long Close waits for answers that are under way.
const closeTimeout = 5 * time.Second

// Close stops listening, lets answers that are under way finish, and returns when no goroutine is left. Its error is
// what ended the server before, or that answers took longer than closeTimeout and were cut off.
func (s *Server) Close() error {
	ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
	defer stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
