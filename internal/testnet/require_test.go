package testnet

import (
	"errors"
	"strings"
	"testing"
)

func TestPromisesAreReadFromTheVariable(t *testing.T) {
	for _, c := range []struct {
		list string
		what string
		want bool
	}{
		{"", "root", false},
		{"root,veth", "veth", true},
		{"root, veth", "veth", true},
		{"root,veth", "zc", false},
		{"rooted", "root", false},
	} {
		if got := promised(c.list, c.what); got != c.want {
			t.Errorf("%q promises %v: %v", c.list, c.what, got)
		}
	}
}

// verdict is a testing.TB that records how Require ended.
type verdict struct {
	testing.TB
	how, text string
}

func (v *verdict) Helper()                        {}
func (v *verdict) Skip(args ...any)               { v.end("skip", args[0].(string)) }
func (v *verdict) Fatal(args ...any)              { v.end("fatal", args[0].(error).Error()) }
func (v *verdict) Fatalf(format string, _ ...any) { v.end("fatal", format) }

// end keeps the first verdict: after it a real test would run no further.
func (v *verdict) end(how, text string) {
	if v.how == "" {
		v.how, v.text = how, text
	}
}

func TestMissingThingsSkipOrFail(t *testing.T) {
	probes["never"] = func() error { return errors.New("it never is") }
	probes["always"] = func() error { return nil }
	defer delete(probes, "never")
	defer delete(probes, "always")
	for _, c := range []struct {
		name, promise string
		what          []string
		how, text     string
	}{
		{"all there", "", []string{"always", "cmd:sh"}, "", ""},
		{"one missing", "", []string{"always", "never"}, "skip", "needs never: it never is"},
		{"a command missing", "", []string{"cmd:no-such-command"}, "skip", "needs cmd:no-such-command"},
		{"missing though promised", "veth,never", []string{"never"}, "fatal", "promises"},
		{"missing, another of the test's promised", "always", []string{"always", "never"}, "skip", "needs never: it never is"},
		{"a name nobody knows", "", []string{"roto"}, "fatal", `unknown requirement "roto"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(requireVariable, c.promise)
			v := &verdict{}
			Require(v, c.what...)
			if v.how != c.how || !strings.Contains(v.text, c.text) {
				t.Errorf("%s %q, want %s %q", v.how, v.text, c.how, c.text)
			}
		})
	}
}
