package netdev

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// ErrMissing is what there is no interface of that name means, to errors.Is.
var ErrMissing = errors.New("no such interface")

// Await returns when the network namespace of the calling thread has an interface of this name, or ctx is done (its
// error then).
func Await(ctx context.Context, name string) error {
	socket, err := subscribe()
	if err != nil {
		return fmt.Errorf("wait for interface %q: %w", name, err)
	}
	defer socket.Close()
	handle, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("wait for interface %q: %w", name, err)
	}
	defer handle.Close()
	defer context.AfterFunc(ctx, socket.Close)() // ends a Receive that waits
	for ctx.Err() == nil {
		_, err := handle.LinkByName(name)
		var missing netlink.LinkNotFoundError
		if err == nil {
			return nil
		}
		if !errors.As(err, &missing) {
			return fmt.Errorf("interface %q: %w", name, err)
		}
		socket.Receive() // whatever it is: look again; at the latest after lookEvery
	}
	return ctx.Err()
}
