// Package lab is what the benchmarks share: the machine's description, pinning, samples and the result file.
package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine says where and when figures were measured, and of what.
type Machine struct {
	Date   time.Time `json:"date"`
	Commit string    `json:"commit"` // of xrx; "+" after it when the work tree differs
	CPU    string    `json:"cpu"`
	Model  string    `json:"cpu_model"` // what the name may not say: family and model
	CPUs   int       `json:"cpus"`
	Kernel string    `json:"kernel"`
	OS     string    `json:"os"`
	Go     string    `json:"go"`
	Load   string    `json:"load"` // 1, 5 and 15 minutes, before the run
	// What the kernel does against faults of this processor: some of it is at every return and indirect call, of which there
	// are dozens in a packet's way. By the files' names in /sys/devices/system/cpu/vulnerabilities.
	Mitigations map[string]string `json:"mitigations"`
}

// ThisMachine describes the machine that the caller runs on. What can't be found out is empty.
func ThisMachine() Machine {
	m := Machine{Date: time.Now().UTC().Truncate(time.Second), Commit: commit(), CPUs: runtime.NumCPU(),
		Go: runtime.Version() + " " + runtime.GOARCH}
	m.CPU = field("/proc/cpuinfo", "model name", ":")
	m.Model = fmt.Sprintf("family %s, model %s", field("/proc/cpuinfo", "cpu family", ":"), field("/proc/cpuinfo", "model", ":"))
	m.Mitigations = mitigations()
	m.OS = strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`)
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	m.Load = Load()
	return m
}

// mitigations leaves out faults that the processor has not got.
func mitigations() map[string]string {
	const dir = "/sys/devices/system/cpu/vulnerabilities"
	all := map[string]string{}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if s := strings.TrimSpace(string(b)); err == nil && s != "Not affected" {
			all[f.Name()] = s
		}
	}
	return all
}

// Load returns the load averages.
func Load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}

// field returns the value after key in a file of "key sep value" lines.
func field(file, key, sep string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, sep); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func commit() string {
	out, err := exec.Command("git", "-C", Root(), "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	c := string(bytes.TrimSpace(out))
	if out, _ := exec.Command("git", "-C", Root(), "status", "--porcelain", "-uno").Output(); len(out) > 0 {
		c += "+"
	}
	return c
}

// Root returns the repository's top folder.
func Root() string { return filepath.Dir(Dir()) }

// Dir returns the folder of this module.
func Dir() string {
	_, file, _, _ := runtime.Caller(0) // .../bench/internal/lab/machine.go; benchmarks run from source
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Pin keeps the calling goroutine, and programs that it starts, on one processor. Other goroutines are not pinned.
func Pin(cpu int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// String is a line for the head of a table.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %s, %s, xrx %s, load %s", m.CPU, m.CPUs, m.Kernel, m.Go, m.Date.Format("2006-01-02 15:04 MST"), m.Commit, m.Load)
}
