package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"xrx/internal/testnet"
)

const unitFile = "systemd/xrx@.service"

// unit are the settings of a unit file: systemd.syntax(7). A setting may be there several times.
type unit map[string][]string

func readUnit(t *testing.T) unit {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	u := unit{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || strings.ContainsAny(line[:1], "#;[") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%s: %q is no setting", unitFile, line)
		}
		u[key] = append(u[key], value)
	}
	return u
}

// words are the words of a setting that is there once.
func (u unit) words(t *testing.T, key string) []string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("%s: %s is there %d times", unitFile, key, len(u[key]))
	}
	return strings.Fields(u[key][0])
}

// installedUnit is the unit file as make install writes it, with the binary of this test.
func installedUnit(t *testing.T) string {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "ExecStart=/usr/local/bin/xrx ", "ExecStart="+binary(t)+" ", 1)
	if changed == string(text) {
		t.Fatalf("%s does not start /usr/local/bin/xrx, which make install replaces", unitFile)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSystemdFindsNoFaultInTheUnit(t *testing.T) {
	testnet.Require(t, "cmd:systemd-analyze")
	path := installedUnit(t)
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v: %s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=25", path).CombinedOutput()
	if err != nil { // 2.4 of 10 with systemd 252; what is left is the network, which it is about
		t.Errorf("exposed more than 2.5 of 10: %v\n%s", err, out)
	}
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(text, "\n[Service]\nNoSuchSetting=1\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); !strings.Contains(string(out), "NoSuchSetting") {
		t.Errorf("verify overlooks a setting that does not exist: %s", out)
	}
}

func TestTheUnitAsksForTheCapabilitiesThatTheDocumentsName(t *testing.T) {
	text, err := os.ReadFile("../docs/PRIVILEGES.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "| `CAP_"); ok {
			want = append(want, "CAP_"+name[:strings.Index(name, "`")])
		}
	}
	u := readUnit(t)
	for _, key := range []string{"AmbientCapabilities", "CapabilityBoundingSet"} {
		if got := u.words(t, key); len(want) != 4 || !slices.Equal(got, want) {
			t.Errorf("%s: %v, docs/PRIVILEGES.md has %v", key, got, want)
		}
	}
}
