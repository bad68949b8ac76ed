package packaging_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"xrx/internal/testnet"
)

const manifestFile = "kubernetes/xrx.yaml"

// container is what of the manifest a runtime makes a process of; packaging/manifest checks all of it.
type container struct {
	Args            []string
	SecurityContext struct {
		RunAsUser    int `yaml:"runAsUser"`
		Capabilities struct{ Add []string }
	} `yaml:"securityContext"`
}

func readContainer(t *testing.T) container {
	t.Helper()
	f, err := os.Open(manifestFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for docs := yaml.NewDecoder(f); ; {
		var d struct {
			Kind string
			Spec struct {
				Template struct {
					Spec struct{ Containers []container }
				}
			}
		}
		if err := docs.Decode(&d); err != nil {
			t.Fatalf("%s: no DaemonSet: %v", manifestFile, err)
		}
		if d.Kind == "DaemonSet" && len(d.Spec.Template.Spec.Containers) == 1 {
			return d.Spec.Template.Spec.Containers[0]
		}
	}
}

// contained becomes the command as a container runtime starts it: user 0 without any capability but these, which it can't
// exceed, all files read-only, and the locked-memory limit that is set where nobody sets one (include/uapi/linux/resource.h
// MLOCK_LIMIT, 8 MiB since v5.16).
func (s sandbox) contained() error {
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("read-only /: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 8 << 20, Max: 8 << 20}); err != nil {
		return fmt.Errorf("locked memory: %w", err)
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return err
	}
	var caps strings.Builder
	for _, c := range s.Capabilities {
		caps.WriteString(",+" + strings.ToLower(c))
	}
	return unix.Exec(setpriv, append([]string{"setpriv", "--bounding-set=-all" + caps.String(), "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"}, s.Command...), environ())
}

// The container's command, as user 0 with the manifest's capabilities alone, receives packets over veth; with one of them
// less it does not, so each is needed.
func TestTheContainersCommandReceivesWithTheManifestsCapabilitiesAndNeedsEachOfThem(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:setpriv", "cmd:ip")
	c := readContainer(t)
	all := c.SecurityContext.Capabilities.Add
	if c.SecurityContext.RunAsUser != 0 || len(all) == 0 {
		t.Fatalf("security context %+v", c.SecurityContext)
	}
	for _, without := range append([]string{""}, all...) {
		name := "as it is"
		if without != "" {
			name = "without " + without
		}
		t.Run(name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{Queues: 2})
			n.Exec(n.B, "ip", "link", "set", "lo", "up") // the metrics are on loopback
			command := []string{binary(t)}
			for _, arg := range c.Args {
				command = append(command, strings.NewReplacer("$(XRX_IFACE)", n.B.Iface, "$(NODE_IP)", "127.0.0.1").Replace(arg))
			}
			text, err := json.Marshal(sandbox{Command: command, Capabilities: slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == without })})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asSandbox+"=contained "+string(text))
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
			p := start(t, n, cmd)
			if without != "" {
				p.complains(t, "CAP_"+without)
				return
			}
			p.receives(t, n, 4433)
			status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"Uid:\t0\t0", "CapPrm:\t000000c000007000", "CapEff:\t000000c000007000", "CapBnd:\t000000c000007000", "NoNewPrivs:\t1"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("the process is not %q:\n%s", want, status)
				}
			}
			p.ends(t, 20*time.Second) // terminationGracePeriodSeconds
			var summary struct {
				Type   string
				Ledger map[string]uint64
			}
			if err := json.Unmarshal([]byte(p.stdout.String()), &summary); err != nil || summary.Type != "summary" || strings.Contains(p.stderr.String(), "warning") {
				t.Fatalf("%v: %q %q", err, p.stdout.String(), p.stderr.String())
			}
			l := summary.Ledger
			if l["total"] != 8192 || l["free"]+l["filling"]+l["received"]+l["held"]+l["delivered"]+l["sending"] != l["total"] || l["lost"] != 0 {
				t.Errorf("frames: %v", l)
			}
		})
	}
}
