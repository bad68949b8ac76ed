package zcvm_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"xrx"
	"xrx/internal/doctor"
)

// examine runs xrx doctor as a process of its own and returns what it said of zero-copy, and everything.
func examine(t *testing.T, w wire) (zeroCopy doctor.Check, all doctor.Report) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.Command(command(t), "doctor", w.iface.Name, "--json")
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil { // a check that fails is an error
		t.Fatalf("xrx doctor: %v\n%s%s", err, said.String(), out.String())
	}
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	at := slices.IndexFunc(all.Checks, func(c doctor.Check) bool { return c.ID == "zero-copy" })
	if at < 0 {
		t.Fatalf("no check of zero-copy in %s", out.String())
	}
	t.Logf("%s: %s: %s; fix: %s", all.Driver, all.Checks[at].Verdict, all.Checks[at].Found, all.Checks[at].Fix)
	return all.Checks[at], all
}

func TestDoctorSaysZeroCopyWhereTheCardDoesIt(t *testing.T) {
	w := zeroCopyWire(t)
	c, all := examine(t, w)
	if c.Verdict != doctor.OK || !strings.Contains(c.Found, "was bound with zero-copy") || c.Fix != "" || all.Count(doctor.Fail) != 0 {
		t.Errorf("%+v in %+v", c, all)
	}
	// What it tried is gone: a receiver has the card at once, and the doctor sees that it has.
	r := w.open(t, xrx.Config{})
	x := newExchange(t, w, w.stream())
	running := receiving(t, r, x)
	x.send(200)
	running.end()
	x.done()
}

// Cards with XDP but no zero-copy, and cards without XDP: what is left, and the driver's own word for it.
func TestDoctorSaysWhatACardWithoutZeroCopyFallsBackToAndWhy(t *testing.T) {
	w := fallbackWire(t)
	c, all := examine(t, w)
	if c.Verdict != doctor.Warn || !strings.Contains(c.Found, "operation not supported") || !strings.Contains(c.Found, "no AF_XDP zero-copy") {
		t.Errorf("%+v: want the refusal in words", c)
	}
	if want := "xrx run " + w.iface.Name + " --bind copy"; c.Fix != want {
		t.Errorf("fix %q, want %q", c.Fix, want)
	}
	if all.Verdict != doctor.Warn || all.Count(doctor.Fail) != 0 {
		t.Errorf("verdict %s of a card that receives: %+v", all.Verdict, all.Checks)
	}
	r, err := xrx.Open(w.iface.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	mode := r.Mode().String()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(c.Found, "xrx run takes "+mode) {
		t.Errorf("%q: want the mode that a receiver has here, %s", c.Found, mode)
	}
	if want := map[string]string{"e1000e": "skb+copy", "vmxnet3": "native+copy"}[os.Getenv("XRX_ZC_NIC")]; want != "" && mode != want {
		t.Errorf("mode %s, want %s", mode, want)
	}
}
