// Command pack writes an initramfs: pack OUT NAME=FILE... puts FILE at NAME, and "NAME=" makes an empty folder.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"xrx/internal/zcvm"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: pack OUT NAME=FILE...")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(out string, entries []string) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	a := zcvm.NewArchive(w)
	for _, e := range entries {
		name, file, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q: want NAME=FILE", e)
		}
		if file == "" {
			a.Folder(name)
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		a.File(name, data)
	}
	return errors.Join(a.Close(), w.Flush())
}
