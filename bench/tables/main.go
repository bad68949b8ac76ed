// Command tables writes the tables of docs/PERFORMANCE.md anew from the files in docs/bench. A test of the repository
// fails while they differ.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"xrx/bench/internal/lab"
	"xrx/internal/perfdoc"
)

func main() {
	if err := run(filepath.Join(lab.Root(), "docs")); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

func run(docs string) error {
	path := filepath.Join(docs, "PERFORMANCE.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	made, err := perfdoc.Render(old, filepath.Join(docs, "bench"))
	if err != nil {
		return err
	}
	if bytes.Equal(old, made) {
		fmt.Println(path, "is what the files say")
		return nil
	}
	if err := os.WriteFile(path, made, 0o644); err != nil {
		return err
	}
	fmt.Println("written:", path)
	return nil
}
