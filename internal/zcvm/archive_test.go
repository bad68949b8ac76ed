package zcvm_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"xrx/internal/zcvm"
)

// member is what a reader of the archive finds.
type member struct {
	mode int
	data string
}

// unpack reads an archive the way the kernel does (init/initramfs.c, do_header and do_name, v6.18).
func unpack(t *testing.T, b []byte) (order []string, members map[string]member) {
	t.Helper()
	members = map[string]member{}
	for at := 0; ; {
		if at%4 != 0 || at+110 > len(b) || string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d of %d", at, len(b))
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		mode, size, nameSize := field(1), field(6), field(11)
		name, end, ok := strings.Cut(string(b[at+110:at+110+nameSize]), "\x00")
		if !ok || end != "" {
			t.Fatalf("a name of %d bytes that is %q", nameSize, name)
		}
		from := (at + 110 + nameSize + 3) &^ 3
		if name == "TRAILER!!!" {
			return order, members
		}
		order = append(order, name)
		members[name] = member{mode, string(b[from : from+size])}
		at = (from + size + 3) &^ 3
	}
}

func TestAnArchiveHoldsItsFilesAndTheFoldersTheyNeedInFront(t *testing.T) {
	var b bytes.Buffer
	a := zcvm.NewArchive(&b)
	want := map[string]string{"init": "#!", "sys/fs/bpf/x": "", "/lib/a.so": "four", "lib/b.so": "seven77"}
	for _, name := range []string{"init", "sys/fs/bpf/x", "/lib/a.so", "lib/b.so"} {
		a.File(name, []byte(want[name]))
	}
	a.Folder("proc")
	a.Folder("lib")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	order, members := unpack(t, b.Bytes())
	if got := fmt.Sprint(order); got != "[init sys sys/fs sys/fs/bpf sys/fs/bpf/x lib lib/a.so lib/b.so proc]" {
		t.Error(got)
	}
	for name, data := range want {
		if m := members[strings.TrimPrefix(name, "/")]; m.data != data || m.mode != 0o100755 {
			t.Errorf("%s: mode %o, %q", name, m.mode, m.data)
		}
	}
	if m := members["sys/fs"]; m.mode != 0o040755 {
		t.Errorf("folder with mode %o", m.mode)
	}
}

type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("no room")
	}
	return len(b), nil
}

func TestAnArchiveSaysWhenItCouldNotBeWritten(t *testing.T) {
	for _, room := range []int{0, 200, 1500} {
		a := zcvm.NewArchive(&full{room})
		a.File("a", make([]byte, 1000))
		a.File("b", make([]byte, 1000))
		if err := a.Close(); err == nil {
			t.Errorf("room for %d bytes, and no error", room)
		}
	}
}
