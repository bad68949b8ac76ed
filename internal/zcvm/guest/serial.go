package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// speak makes a serial line the standard input and output of this process. What is written arrives as it is, without a
// carriage return for each line, unless a person sits at the other end.
func speak(line string) error {
	f, err := os.OpenFile(line, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fd := int(f.Fd())
	if setting("XRX_ZC_SHELL") == "" {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	os.Stdin, os.Stdout, os.Stderr = f, f, f
	return nil
}

// drain waits until everything written to a serial line has left it (tcdrain(3)).
func drain(line string) {
	f, err := os.OpenFile(line, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) // refused: nothing was waiting
}
