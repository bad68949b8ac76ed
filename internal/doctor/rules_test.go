package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"xrx/internal/steering"
	"xrx/internal/tune"
)

func TestFlowRulesAreListedAndThoseThatLeadAwayAreWarnedOf(t *testing.T) {
	rules := func(texts ...string) (list []steering.Rule) {
		for i, text := range texts {
			r, err := steering.ParseRule(text)
			if err != nil {
				t.Fatal(err)
			}
			r.Location = i
			list = append(list, r)
		}
		return list
	}
	for _, c := range []struct {
		name  string
		rules []steering.Rule
		err   error
		want  string
	}{
		{"none", nil, nil, "ok none "},
		{"unsupported", nil, fmt.Errorf("rules: %w", syscall.EOPNOTSUPP), "ok the driver has none "},
		{"not readable", nil, errors.New("no"), "ok not readable: no "},
		{"within the queues", rules("tcp dst-port 443 queue 1"), nil, "ok 1: tcp4 dst-port 443 queue 1 loc 0 "},
		{"beyond", rules("tcp queue 0", "udp queue 2"), nil, "warn 2: tcp4 queue 0 loc 0; udp4 queue 2 loc 1 (dropped, or led away) xrx steer eth1 --delete-rule 1"},
		{"dropped", rules("udp drop"), nil, "warn 1: udp4 drop loc 0 (dropped, or led away) xrx steer eth1 --delete-rule 0"},
		{"many", rules(slices.Repeat([]string{"tcp queue 0"}, 11)...), nil, "and 3 more"},
	} {
		k := checkRules(steering.Tables{Interface: "eth1", Queues: 2, Rules: c.rules}, c.err)
		if got := fmt.Sprint(k.Verdict, " ", k.Found, " ", k.Fix); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSettingsThatWereLeftAreWarnedOfWithTheCommand(t *testing.T) {
	s := &tune.State{Owner: tune.Process{PID: 7, Name: "xrx"}, Entries: []*tune.Entry{
		{Key: "rx-usecs", Wanted: "50", Original: "3", Phase: tune.Written}, {Key: "rx-frames", Wanted: "5", Phase: tune.Refused}, {Key: "adaptive-rx", Phase: tune.Written}}}
	for _, c := range []struct {
		dir   string
		state *tune.State
		alive bool
		err   error
		want  string
	}{
		{"", nil, false, nil, "ok none left"},
		{"", s, true, nil, "ok xrx[7] has changed rx-usecs (was 3), and puts them back when it ends"},
		{"", s, false, nil, "warn xrx[7], which no longer runs, has left changed: rx-usecs (was 3) xrx doctor eth1 --restore"},
		{"/x", s, false, nil, "xrx doctor eth1 --restore --state-dir /x"},
		{"", nil, false, errors.New("state file is not one"), "warn state file is not one "},
	} {
		k := checkSettings("eth1", c.dir, c.state, c.alive, c.err)
		if got := fmt.Sprint(k.Verdict, " ", k.Found, " ", k.Fix); !strings.Contains(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
