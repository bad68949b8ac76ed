package zcvm

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Archive writes an initramfs: a cpio archive in "newc" format, which the kernel unpacks into its first root
// (Documentation/driver-api/early-userspace/buffer-format.rst, v6.18). Folders are made as they are needed.
type Archive struct {
	w       io.Writer
	inode   int
	written int64
	folders map[string]bool
	err     error // the first one; what follows it is not written
}

// NewArchive starts an archive.
func NewArchive(w io.Writer) *Archive {
	return &Archive{w: w, inode: 1, folders: map[string]bool{".": true}}
}

const (
	modeFolder = 0o040755
	modeFile   = 0o100755 // everything may be run: nobody else lives there
	trailer    = "TRAILER!!!"
)

// Folder adds an empty folder. name is relative to the root, like "sys/fs".
func (a *Archive) Folder(name string) {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	if a.folders[name] {
		return
	}
	a.Folder(path.Dir(name))
	a.folders[name] = true
	a.entry(name, modeFolder, nil)
}

// File adds a file.
func (a *Archive) File(name string, data []byte) {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	a.Folder(path.Dir(name))
	a.entry(name, modeFile, data)
}

// Close ends the archive and returns the first error that writing met.
func (a *Archive) Close() error {
	a.inode = 0
	a.entry(trailer, 0, nil)
	return a.err
}

// entry writes one header with its name and data, each padded to four bytes.
func (a *Archive) entry(name string, mode int, data []byte) {
	fields := []int{a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0}
	a.inode++
	header := "070701"
	for _, f := range fields {
		if f > 1<<32-1 {
			a.fail(fmt.Errorf("%s: %d bytes are too many for an archive", name, f))
		}
		header += fmt.Sprintf("%08X", f)
	}
	a.write([]byte(header + name + "\x00"))
	a.pad()
	a.write(data)
	a.pad()
}

func (a *Archive) pad() { a.write(make([]byte, -a.written&3)) }

func (a *Archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.written += int64(n)
	a.fail(err)
}

func (a *Archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}
