package xsk

import "xrx/internal/sys"

// Failed puts an error of a step into words, as every method does.
func (s *Socket) Failed(step string, err error) error { return s.failed(step, err) }

// MapRings makes and maps the rings, which Open has done already.
func (s *Socket) MapRings() error { return s.mapRings() }

// ReadMode compares what was asked for with what XDP_OPTIONS says.
func (s *Socket) ReadMode(asked Mode) error { return s.readMode(asked) }

// BindOnce is one attempt, without waiting for a queue that is busy.
func (s *Socket) BindOnce(flags uint16, shared int) error {
	return s.failed("bind "+s.cfg.Iface, sys.XSKBind(s.fd, s.cfg.IfIndex, s.cfg.Queue, flags, shared))
}
