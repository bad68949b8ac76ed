package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// BuildC compiles one C file against a library known to pkg-config. The error says what is missing.
func BuildC(bin, source, pkg string, flags ...string) error {
	for _, tool := range []string{"cc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	out, err := exec.Command("pkg-config", "--cflags", "--libs", pkg).Output()
	if err != nil {
		return fmt.Errorf("pkg-config does not know %s", pkg)
	}
	// After pkg-config's own: the last -march counts, and peers get all that this processor has.
	args := append([]string{"-O3", "-Wall", "-o", bin, source}, strings.Fields(string(out))...)
	args = append(append(args, "-march=native"), flags...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		return errors.New("cc: " + strings.TrimSpace(string(out)))
	}
	return nil
}
