package tune

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Process is a process that can't be confused with a later one of the same number.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot: field 22 of /proc/PID/stat (proc(5))
	Name  string `json:"name"`
}

// Self returns this process.
func Self() Process { return lookUp(os.Getpid()) }

func lookUp(pid int) Process {
	p := Process{PID: pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p
	}
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')') // the name may have anything in it
	if open < 0 || shut < open {
		return p
	}
	p.Name = string(text[open+1 : shut])
	if fields := strings.Fields(string(text[shut+1:])); len(fields) > 19 {
		p.Start, _ = strconv.ParseUint(fields[19], 10, 64)
		if fields[0] == "Z" { // dead, though nobody has looked yet
			p.Start = 0
		}
	}
	return p
}

// Alive reports whether the process still runs.
func (p Process) Alive() bool { return p.Start != 0 && lookUp(p.PID).Start == p.Start }

func (p Process) String() string { return fmt.Sprintf("%s[%d]", p.Name, p.PID) }

// BootID identifies this boot of the machine; "" if the kernel doesn't tell.
func BootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}
