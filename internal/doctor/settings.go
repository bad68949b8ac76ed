package doctor

import (
	"errors"
	"fmt"
	"strings"

	"xrx/internal/tune"
)

func (e *exam) leftSettings() {
	s, err := tune.OpenSession(e.info.Name, "run", e.opts.StateDir)
	if err != nil {
		e.add(Check{"settings", OK, "not to be found out: " + err.Error(), whySettings, ""})
		return
	}
	defer s.Close()
	state, err := s.Stale()
	e.add(checkSettings(e.info.Name, e.opts.StateDir, state, state != nil && state.Owner.Alive(), err))
}

const whySettings = "a receiver that was killed can't put back the settings of the interface that it changed"

func checkSettings(iface, dir string, s *tune.State, alive bool, err error) Check {
	c := Check{"settings", OK, "none left changed by a receiver", whySettings, "xrx doctor " + iface + " --restore"}
	if dir != "" {
		c.Fix += " --state-dir " + dir
	}
	switch {
	case err != nil:
		c.Verdict, c.Found, c.Fix = Warn, err.Error(), ""
	case s == nil:
	case alive:
		c.Found = fmt.Sprintf("%s has changed %s, and puts them back when it ends", s.Owner, settingNames(s))
	default:
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s, which no longer runs, has left changed: %s", s.Owner, settingNames(s))
	}
	return c
}

func settingNames(s *tune.State) string {
	var list []string
	for _, e := range s.Entries {
		if e.Wanted != "" && e.Phase != tune.InForce && e.Phase != tune.Refused && e.Phase != tune.Undone {
			list = append(list, fmt.Sprintf("%s (was %s)", e.Key, e.Original))
		}
	}
	if len(list) == 0 {
		return "settings"
	}
	return strings.Join(list, ", ")
}

// Restore puts back the settings of an interface that a receiver left changed when it was killed; force: also those that
// somebody has changed since. done says in lines what was done; the error, what could not be or was left.
func Restore(iface, dir string, force bool) (done []string, err error) {
	s, err := tune.OpenSession(iface, "run", dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := s.Restore(force)
	if r == nil {
		if err == nil {
			done = []string{"nothing to restore: no receiver has left settings of " + iface + " changed"}
		}
		return done, err
	}
	for _, e := range r.Restored {
		done = append(done, fmt.Sprintf("%s is %s again", e.Key, e.Original))
	}
	if len(done) == 0 && err == nil && len(r.Left) == 0 {
		done = []string{"every setting is as it was: the state file is removed"}
	}
	errs := []error{err}
	for _, e := range r.Left {
		errs = append(errs, errors.New(e.Why))
	}
	if len(r.Left) > 0 {
		errs = append(errs, errors.New("left as it is (--force puts it back all the same)"))
	}
	return done, errors.Join(errs...)
}
