package doctor

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"xrx/internal/sys"
)

// kernelConfig reads the running kernel's options, nil where they are nowhere to be read.
func kernelConfig(release string) (options map[string]string, path string) {
	for _, path := range []string{"/proc/config.gz", "/boot/config-" + release, "/lib/modules/" + release + "/config"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				continue
			}
		}
		if options := parseConfig(r); len(options) > 0 {
			return options, path
		}
	}
	return nil, ""
}

func parseConfig(r io.Reader) map[string]string {
	options := map[string]string{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasPrefix(name, "CONFIG_") {
			options[name] = value
		}
	}
	return options
}

func (e *exam) config() {
	fd, err := sys.XSKSocket()
	if err == nil {
		sys.Close(fd)
	}
	options, path := kernelConfig(e.report.Kernel)
	e.add(checkConfig(options, path, err))
}

// checkConfig judges the kernel's options, and by what opening an AF_XDP socket gave where they can't be read.
func checkConfig(options map[string]string, path string, socket error) Check {
	c := Check{"config", OK, "", "without CONFIG_XDP_SOCKETS there is no AF_XDP, without CONFIG_BPF_SYSCALL no XDP program", ""}
	if errors.Is(socket, syscall.EAFNOSUPPORT) {
		c.Verdict, c.Found = Fail, fmt.Sprintf("the kernel refuses AF_XDP sockets: %v", socket)
		c.Fix = "boot a kernel with CONFIG_XDP_SOCKETS=y (grep CONFIG_XDP_SOCKETS /boot/config-*)"
		return c
	}
	if options == nil {
		c.Found = "not readable; AF_XDP sockets can be opened"
		if socket != nil {
			c.Found = fmt.Sprintf("not readable; the kernel knows AF_XDP sockets, though not for us: %v", socket)
		}
		return c
	}
	var missing []string
	for _, name := range []string{"CONFIG_XDP_SOCKETS", "CONFIG_BPF_SYSCALL"} {
		if options[name] != "y" {
			missing = append(missing, name)
		}
	}
	c.Found = "CONFIG_XDP_SOCKETS=y CONFIG_BPF_SYSCALL=y (" + path + ")"
	if missing != nil {
		c.Verdict, c.Found = Fail, path+" has not: "+strings.Join(missing, " ")
		c.Fix = "boot a kernel with " + strings.Join(missing, "=y and ") + "=y"
	}
	return c
}

func (e *exam) jit() {
	options, _ := kernelConfig(e.report.Kernel)
	text, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	e.add(checkJIT(options, strings.TrimSpace(string(text)), err))
}

func checkJIT(options map[string]string, enabled string, err error) Check {
	c := Check{"jit", OK, "BPF programs are compiled", "an interpreted XDP program costs several times as much per packet", ""}
	const fix = "sysctl -w net.core.bpf_jit_enable=1"
	switch {
	case options["CONFIG_BPF_JIT_ALWAYS_ON"] == "y":
		c.Found += " always (CONFIG_BPF_JIT_ALWAYS_ON)"
	case options != nil && options["CONFIG_BPF_JIT"] != "y":
		c.Verdict, c.Found, c.Fix = Warn, "the kernel has no CONFIG_BPF_JIT", "boot a kernel with CONFIG_BPF_JIT=y"
	case err != nil && options["CONFIG_BPF_JIT_DEFAULT_ON"] == "y":
		c.Found += " by default (CONFIG_BPF_JIT_DEFAULT_ON); bpf_jit_enable is for root to read"
	case err != nil:
		c.Found = fmt.Sprintf("not readable: %v", err)
	case enabled == "0":
		c.Verdict, c.Found, c.Fix = Warn, "net.core.bpf_jit_enable is 0", fix
	case enabled == "2":
		c.Verdict, c.Found, c.Fix = Warn, "net.core.bpf_jit_enable is 2: compiled, and every program written to the log", fix
	}
	return c
}
