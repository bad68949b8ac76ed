// Package privsep separates privileges: a helper that may do it loads the XDP program, puts it on the interface and makes the
// AF_XDP sockets; a receiver without any capability gets those sockets over a unix socket, and does all the rest.
//
//	s, err := privsep.NewServer(privsep.Policy{Interfaces: []string{"eth1"}, UIDs: []int{1000}}) // root, or the capabilities of the README
//	l, err := privsep.Listen("/run/xrx/eth1.sock")
//	err = s.Serve(ctx, l)
//
//	r, err := xrx.Open("eth1", &xrx.Config{Helper: "/run/xrx/eth1.sock"}) // another process, another user
//
// The receiver has the sockets and two maps that it can only read. The program, its link to the interface, the XSKMAP and
// the match expression stay with the helper, which does to them what the receiver asks for within the Policy. A socket can't be
// bound to another interface, and only packets of granted queues are ever redirected to it. docs/PRIVILEGES.md has what a
// receiver could still do, docs/adr/0012 why it was split here.
//
// One connection is one receiver. When it ends, however it ends, the program goes off the interface; when the helper ends,
// however it ends, its bpf_link takes the program with it, and the receiver's Run returns ErrGone.
package privsep
