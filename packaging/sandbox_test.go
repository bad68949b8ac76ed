package packaging_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// asSandbox makes the test binary put what a unit asks for around a command, and become it: systemd.exec(5) without systemd.
const asSandbox = "XRX_TEST_AS_SANDBOX"

// sandbox is as much of a unit as can be had without systemd.
type sandbox struct {
	Writable     string   // RuntimeDirectory; all else is read-only (ProtectSystem=strict, ProtectKernelTunables)
	Capabilities []string // ambient and bounding
	Syscalls     []string
	Families     []uint64
	Command      []string
}

// exec returns the command inside of the sandbox.
func (s sandbox) exec(t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asSandbox+"=mounts "+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	return cmd
}

func sandboxed(stage string) {
	stage, text, _ := strings.Cut(stage, " ")
	var s sandbox
	err := json.Unmarshal([]byte(text), &s)
	switch {
	case err != nil:
	case stage == "mounts":
		err = s.mounts(text)
	case stage == "contained":
		err = s.contained()
	default:
		err = s.filters()
	}
	fmt.Fprintln(os.Stderr, "sandbox:", stage, err)
	os.Exit(99)
}

// mounts makes everything read-only but one folder, then becomes an ordinary user with the capabilities.
func (s sandbox) mounts(text string) error {
	steps := []struct {
		name string
		err  error
	}{
		{"bind " + s.Writable, unix.Mount(s.Writable, s.Writable, "", unix.MS_BIND, "")},
		{"read-only /", unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})},
		{"writable " + s.Writable, unix.MountSetattr(unix.AT_FDCWD, s.Writable, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})},
		{"locked memory", lockAll()},
	}
	for _, step := range steps {
		if step.err != nil {
			return fmt.Errorf("%s: %w", step.name, step.err)
		}
	}
	var caps strings.Builder
	for _, c := range s.Capabilities {
		caps.WriteString(",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_")))
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return err
	}
	return unix.Exec(setpriv, []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all" + caps.String(),
		"--inh-caps=-all" + caps.String(), "--ambient-caps=-all" + caps.String(), "--no-new-privs", "/proc/self/fd/3"},
		append(environ(), asSandbox+"=filters "+text))
}

// lockAll raises the locked-memory limit as far as this machine lets root: LimitMEMLOCK=infinity, or the hard limit.
func lockAll() error {
	err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	if errors.Is(err, unix.EPERM) { // root without CAP_SYS_RESOURCE
		var now unix.Rlimit
		if err = unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now); err == nil {
			err = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: now.Max, Max: now.Max})
		}
	}
	return err
}

// filters installs what is inherited by the command: no memory that is written and then run, the system calls.
func (s sandbox) filters() error {
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil && err != unix.EINVAL { // since 6.3
		return fmt.Errorf("MemoryDenyWriteExecute: %w", err)
	}
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	allow := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	for _, name := range s.Syscalls {
		if _, here := info.SyscallNames[name]; here && name != "socket" {
			allow.Names = append(allow.Names, name)
		}
	}
	for _, f := range s.Families {
		allow.NamesWithCondtions = append(allow.NamesWithCondtions, seccomp.NameWithConditions{Name: "socket",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: f}}})
	}
	err = seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, Syscalls: []seccomp.SyscallGroup{allow}}})
	if err != nil {
		return fmt.Errorf("SystemCallFilter: %w", err)
	}
	return unix.Exec(s.Command[0], s.Command, environ())
}

// environ is the environment without what makes a sandbox.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, asSandbox+"=") })
}

var families = map[string]uint64{"AF_UNIX": unix.AF_UNIX, "AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_NETLINK": unix.AF_NETLINK, "AF_XDP": unix.AF_XDP}

// sandbox reads what the unit asks for.
func (u unit) sandbox(t *testing.T, writable string) sandbox {
	t.Helper()
	s := sandbox{Writable: writable, Capabilities: u.words(t, "AmbientCapabilities")}
	for _, name := range u.words(t, "RestrictAddressFamilies") {
		f, ok := families[name]
		if !ok {
			t.Fatalf("RestrictAddressFamilies: unknown %s", name)
		}
		s.Families = append(s.Families, f)
	}
	s.Syscalls = syscalls(t, append(u.words(t, "SystemCallFilter"), "@default"))
	slices.Sort(s.Syscalls)
	s.Syscalls = slices.Compact(s.Syscalls)
	if u.words(t, "RestrictNamespaces")[0] == "yes" {
		s.Syscalls = slices.DeleteFunc(s.Syscalls, func(name string) bool { return slices.Contains([]string{"setns", "unshare", "clone3"}, name) })
	}
	if u.words(t, "RestrictRealtime")[0] == "yes" {
		s.Syscalls = slices.DeleteFunc(s.Syscalls, func(name string) bool { return name == "sched_setscheduler" || name == "sched_setattr" })
	}
	return s
}

// colours are what systemd 255 prints in front of a group's name, into a pipe too.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// syscalls expands systemd's groups of system calls.
func syscalls(t *testing.T, names []string) (list []string) {
	t.Helper()
	for _, name := range names {
		if !strings.HasPrefix(name, "@") {
			list = append(list, name)
			continue
		}
		out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager", name).Output()
		if err != nil {
			t.Fatalf("systemd-analyze syscall-filter %s: %v", name, err)
		}
		var members []string
		for lines := bufio.NewScanner(bytes.NewReader(colours.ReplaceAll(out, nil))); lines.Scan(); {
			if member := strings.TrimSpace(lines.Text()); strings.HasPrefix(lines.Text(), " ") && !strings.HasPrefix(member, "#") {
				members = append(members, member)
			}
		}
		if len(members) == 0 {
			t.Fatalf("systemd-analyze syscall-filter %s names no system call: %q", name, out)
		}
		list = append(list, syscalls(t, members)...)
	}
	return list
}
