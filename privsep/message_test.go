package privsep

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx/internal/testnet"
)

// talking is a helper that would give lo to this process's user.
func talking(t *testing.T, log func(string), uids ...int) (socket string) {
	t.Helper()
	s, err := NewServer(Policy{Interfaces: []string{"lo", "no-such-iface"}, UIDs: uids, Queues: []int{0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	s.Log = log
	socket = filepath.Join(t.TempDir(), "s")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func dial(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func TestWhatIsNoRequestIsRefusedInWordsAndNothingOfItIsKept(t *testing.T) {
	testnet.NoLeaks(t)
	socket := talking(t, nil, os.Getuid())
	for _, c := range []struct{ message, want string }{
		{"x", "not a message"},
		{"{}", "it speaks version 0, this side 1: run the same xrx on both"},
		{`{"version":2,"op":"open"}`, "it speaks version 2"},
		{`{"version":1,"op":"attach"}`, `no such request: "attach"`},
		{`{"version":1,"op":"open","more":1}`, `unknown field "more"`},
		{`{"version":1,"op":"open"} {}`, "not a message"},
		{`{"version":1,"op":"open"}`, "open without saying what"},
		{`{"version":1,"op":"match","open":{"interface":"lo","queues":[0]}}`, "with what belongs to open"},
		{`{"version":1,"op":"open","open":{"interface":"","queues":[0]}}`, "a name has 1 to 15 bytes"},
		{`{"version":1,"op":"open","open":{"interface":"0123456789abcdef","queues":[0]}}`, "a name has 1 to 15 bytes"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[]}}`, "0 queues"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[1,0]}}`, "want them in order"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[0,0]}}`, "want them in order"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[-1]}}`, "want them in order"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[99999999999999999999]}}`, "not a message"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[0],"attach":7}}`, "attach mode 7"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[0],"hw_hash":true}}`, "hardware metadata"},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[0],"hw_meta":true,"no_meta":true}}`, "and no metadata"},
		{`{"version":1,"op":"open","open":{"interface":"eth0","queues":[0]}}`, `interface "eth0" is not this helper's to give: it has lo, no-such-iface`},
		{`{"version":1,"op":"open","open":{"interface":"lo","queues":[2]}}`, "queue 2 of lo is not this helper's to give: it has 0, 1"},
		{`{"version":1,"op":"open","open":{"interface":"no-such-iface","queues":[0]}}`, `no interface "no-such-iface"`},
		{`{"version":1,"op":"open","match":"udp port","open":{"interface":"lo","queues":[0]}}`, "match: "},
		{`{"version":1,"op":"match","match":"` + strings.Repeat("x", messageMost) + `"}`, "a message of more than"},
	} {
		t.Run(c.want, func(t *testing.T) {
			conn := dial(t, socket)
			if _, _, err := conn.WriteMsgUnix([]byte(c.message), unix.UnixRights(0), nil); err != nil { // a descriptor that nobody asked for
				t.Fatal(err)
			}
			var r reply
			fds, err := receive(conn, &r, 0)
			if want := "1 descriptors, where at most 0 belong"; err != nil || len(fds) != 0 || r.Error != want && !strings.Contains(r.Error, c.want) {
				t.Errorf("%+v, %v, %v: want %q", r, fds, err, want)
			}
			conn = dial(t, socket)
			if _, err := conn.Write([]byte(c.message)); err != nil {
				t.Fatal(err)
			}
			if _, err := receive(conn, &r, 0); err != nil || !strings.Contains(r.Error, c.want) {
				t.Errorf("%q, %v: want %q", r.Error, err, c.want)
			}
			if _, err := receive(conn, &r, 0); err == nil {
				t.Errorf("it goes on: %+v", r)
			}
		})
	}
}

func TestWithoutAnOpenNothingElseIsDone(t *testing.T) {
	socket := talking(t, nil, os.Getuid())
	conn := dial(t, socket)
	for _, op := range []string{opRegister, opUnregister, opMatch, opCondition, opMend} {
		var r reply
		if err := send(conn, &request{Version: Version, Op: op}); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(conn, &r, 0); err != nil || r.Error != op+": nothing is open" {
			t.Errorf("%s: %q, %v", op, r.Error, err)
		}
	}
}

func TestAnotherUserIsToldWhoIsServed(t *testing.T) {
	told := make(chan string, 1)
	socket := talking(t, func(line string) { told <- line }, os.Getuid()+1)
	_, err := Open(socket, Request{Interface: "lo", Queues: []int{0}})
	if err == nil || !strings.Contains(err.Error(), "this helper serves user id") {
		t.Errorf("it says %v", err)
	}
	if line := <-told; !strings.HasPrefix(line, "refused: this helper serves user id") {
		t.Errorf("the helper says %q", line)
	}
}

func TestAHelperThatServesIsNotReplacedAndAFileIsNotEither(t *testing.T) {
	socket := talking(t, nil, os.Getuid())
	if _, err := Listen(socket); err == nil || !strings.Contains(err.Error(), "another helper serves there") {
		t.Errorf("it says %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "is in the way: it is no socket") {
		t.Errorf("it says %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// Whatever arrives, receive ends with a request that check has an opinion about, or an error, and keeps no descriptor.
func FuzzReceive(f *testing.F) {
	good, err := json.Marshal(&request{Version: Version, Op: opOpen, Open: &ask{Interface: "eth1", Queues: []int{0, 1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"op":"register","queue":1}`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, message []byte) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		file := os.NewFile(uintptr(pair[1]), "")
		c, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		err = unix.Sendto(pair[0], message, 0, nil)
		unix.Close(pair[0])
		if err != nil {
			t.Skip(err) // too long for the socket
		}
		var q request
		if _, err := receive(c.(*net.UnixConn), &q, 0); err != nil {
			return
		}
		if q.Version != Version {
			t.Fatalf("version %d was taken", q.Version)
		}
		if q.check() == nil && q.Op == opOpen && (len(q.Open.Queues) == 0 || len(q.Open.Queues) > queuesMost || q.Open.Interface == "") {
			t.Fatalf("taken: %+v", q.Open)
		}
	})
}
