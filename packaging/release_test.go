package packaging_test

import (
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"xrx/internal/testnet"
)

// make runs a target of the Makefile.
func makeTarget(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-C", "..", "--no-print-directory"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %v: %v\n%s", args, err, out)
	}
}

// tree lists files with the permissions that they have.
func tree(t *testing.T, root string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		list = append(list, rel+" "+info.Mode().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestInstallPutsEverythingInItsPlaceAndUninstallTakesItAway(t *testing.T) {
	testnet.Require(t, "cmd:make", "cmd:bash")
	from := filepath.Join(t.TempDir(), "package")
	if out, err := exec.Command("bash", "../scripts/package.sh", binary(t), from).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root := t.TempDir()
	script := func(args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(from, "install.sh"), args...)
		cmd.Env = append(os.Environ(), "DESTDIR="+root, "PREFIX=/opt/x")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("install.sh %v: %v\n%s", args, err, out)
		}
	}
	other := filepath.Join(root, "opt/x/share/man/man1/xrxother.1")
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	script()
	there := tree(t, filepath.Join(root, "opt/x"))
	for _, want := range []string{"bin/xrx -rwxr-xr-x", "share/man/man1/xrx.1 -rw-r--r--", "share/man/man1/xrx-run.1 -rw-r--r--", "share/bash-completion/completions/xrx -rw-r--r--",
		"share/zsh/site-functions/_xrx -rw-r--r--", "share/fish/vendor_completions.d/xrx.fish -rw-r--r--", "lib/systemd/system/xrx@.service -rw-r--r--",
		"share/doc/xrx/LICENSE -rw-r--r--", "share/doc/xrx/INSTALL.md -rw-r--r--", "share/doc/xrx/kubernetes.yaml -rw-r--r--"} {
		if !slices.Contains(there, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(there, "\n"))
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "opt/x/lib/systemd/system/xrx@.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/opt/x/bin/xrx run ") {
		t.Errorf("%v: the unit does not start what was installed:\n%s", err, unit)
	}
	makeTarget(t, nil, "uninstall", "PREFIX=/opt/x", "DESTDIR="+root)
	if left := tree(t, root); len(left) != 1 || !strings.HasPrefix(left[0], "opt/x/share/man/man1/xrxother.1") {
		t.Errorf("it leaves, or took what was not its own: %v", left)
	}
}

// Two releases of one tree, built in two places, are the same to the byte, and what they say is there.
func TestAReleaseIsTheSameEachTimeAndRunsOnBothProcessors(t *testing.T) {
	if os.Getenv("XRX_LONG") == "" {
		t.Skip("builds xrx six times, for minutes: with XRX_LONG=1")
	}
	testnet.Require(t, "cmd:bash", "cmd:tar")
	const version = "v9.8.7-test"
	var sums [2]map[string][32]byte
	var dir string
	for i := range sums {
		dir = filepath.Join(t.TempDir(), "dist")
		cmd := exec.Command("bash", "../scripts/release.sh", version, dir)
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		sums[i] = map[string][32]byte{}
		for _, f := range tree(t, dir) {
			name, _, _ := strings.Cut(f, " ")
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sums[i][name] = sha256.Sum256(b)
		}
	}
	if len(sums[0]) != 5 || len(sums[1]) != 5 {
		t.Errorf("files: %v", sums)
	}
	for name, sum := range sums[0] {
		if sums[1][name] != sum {
			t.Errorf("%s is not the same the second time", name)
		}
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 4 {
		t.Errorf("SHA256SUMS: %v\n%s", err, out)
	}
	for arch, run := range map[string][]string{"amd64": nil, "arm64": {"qemu-aarch64-static"}} {
		t.Run(arch, func(t *testing.T) {
			name := "xrx_" + version + "_linux_" + arch
			var bom struct {
				Metadata   struct{ Component struct{ Version string } }
				Components []struct{ Name, Version string }
			}
			text, err := os.ReadFile(filepath.Join(dir, name+".cdx.json"))
			if err == nil {
				err = json.Unmarshal(text, &bom)
			}
			if err != nil || bom.Metadata.Component.Version != version || !slices.ContainsFunc(bom.Components, func(c struct{ Name, Version string }) bool { return c.Name == "github.com/cilium/ebpf" }) {
				t.Errorf("SBOM: %v, %+v", err, bom)
			}
			to := t.TempDir()
			if out, err := exec.Command("tar", "-C", to, "-xf", filepath.Join(dir, name+".tar.gz")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			list := strings.Join(tree(t, filepath.Join(to, name)), "\n")
			for _, want := range []string{"xrx -rwxr-xr-x", "install.sh -rwxr-xr-x", "man/xrx-run.1", "completions/_xrx", "systemd/xrx@.service", "kubernetes/xrx.yaml", "LICENSE", "INSTALL.md"} {
				if !strings.Contains(list, want) {
					t.Errorf("no %s in\n%s", want, list)
				}
			}
			if run != nil {
				testnet.Require(t, "cmd:"+run[0])
			}
			args := append(slices.Clone(run), filepath.Join(to, name, "xrx"), "version")
			out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "xrx "+version+" ") || !strings.Contains(string(out), "linux/"+arch) {
				t.Errorf("%v: %v: %s", args, err, out)
			}
		})
	}
	if out, err := exec.Command("bash", "../scripts/release.sh", "1.2", t.TempDir()).CombinedOutput(); err == nil || !strings.Contains(string(out), "v1.2.3") {
		t.Errorf("version 1.2: %v: %s", err, out)
	}
}
