// Command guest is /init of the guest that scripts/zc-vm.sh boots. It mounts what programs expect, loads /modules/*.ko
// in the order of their names, brings eth0 and eth1 up, runs what /run/args says, and powers off.
//
// Serial lines: ttyS0 is the program's input and output, ttyS1 the kernel's log, ttyS2 takes two lines for the script: that
// the guest is up, and the exit status.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unable is the exit status when the guest could not be made ready: nothing about the program.
const unable = 125

func main() {
	status := unable
	if err := prepare(); err != nil {
		fmt.Println("guest:", err)
	} else if status, err = run(); err != nil {
		fmt.Println("guest:", err)
	}
	tell("exit %d", status)
	drain("/dev/ttyS0")
	drain("/dev/ttyS2")
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("guest: power off:", err)
	}
}

// tell writes a line for scripts/zc-vm.sh.
func tell(format string, args ...any) {
	if err := os.WriteFile("/dev/ttyS2", fmt.Appendf(nil, format+"\n", args...), 0); err != nil {
		fmt.Println("guest:", err)
	}
}

// prepare makes the guest what a program under test expects.
func prepare() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"bpf", "/sys/fs/bpf"}, {"tmpfs", "/tmp"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := speak("/dev/ttyS0"); err != nil {
		return err
	}
	tell("up")
	// Nobody speaks on the wire but the programs under test.
	for _, which := range []string{"default", "all"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	return linksUp(setting("XRX_ZC_QUEUES"))
}

// run runs the program, with the other one of /run/gen beside it, and returns its exit status.
func run() (int, error) {
	if gen := words("/run/gen"); len(gen) > 0 {
		feed := program(gen)
		if err := feed.Start(); err != nil {
			return unable, err
		}
		defer func() {
			_ = feed.Process.Signal(os.Interrupt) // it may have ended
			_ = feed.Wait()                       // its summary is on the console, its status nobody's business
		}()
	}
	args := words("/run/args")
	if len(args) == 0 {
		return unable, errors.New("no program in /run/args")
	}
	cmd := program(args)
	if setting("XRX_ZC_SHELL") != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C works
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	case errors.As(err, &exit): // as a shell has it
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	}
	return unable, err
}

func program(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stdout
	cmd.Env = append([]string{"HOME=/tmp", "TMPDIR=/tmp", "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "TERM=linux"}, words("/run/env")...)
	return cmd
}

// words reads a file of words that end with a NUL each; none where there is no such file.
func words(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// setting returns a variable of the program's environment.
func setting(name string) string {
	for _, w := range words("/run/env") {
		if value, ok := strings.CutPrefix(w, name+"="); ok {
			return value
		}
	}
	return ""
}
