package main

import (
	"fmt"
	"strings"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"xrx"
	"xrx/internal/privilege"
)

// checkUser refuses what can't work before anything is opened.
func checkUser(name string, cfg *xrx.Config) error {
	if name == "" {
		return nil
	}
	if _, err := privilege.Lookup(name); err != nil {
		return usagef("--user: %v", err)
	}
	if cfg.Helper != "" {
		return usagef("--user and --helper: one of them: with a helper, start xrx as that user")
	}
	if !cfg.Settings.None() {
		return usagef("--user: only root can put the interface's settings back at the end: leave out --user, or make the settings by hand")
	}
	return nil
}

// becomeUser gives up what run no longer needs once everything is open.
func becomeUser(e env, name string, o *runOptions) error {
	if name == "" {
		return nil
	}
	u, err := privilege.Lookup(name)
	if err != nil {
		return usagef("--user: %v", err)
	}
	var keep []cap.Value
	why := ""
	switch {
	case o.wait:
		keep, why = privilege.ToOpen, "to open the interface (--wait)"
	case o.matchFile != "":
		keep, why = privilege.ToMatch, "to replace the expression (--match-file)"
	}
	if err := u.Become(keep...); err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	if why == "" {
		fmt.Fprintf(e.stderr, "xrx: now %s, without capabilities\n", u.Name)
		return nil
	}
	names := make([]string, len(keep))
	for i, c := range keep {
		names[i] = c.String()
	}
	fmt.Fprintf(e.stderr, "xrx: now %s, with %s %s\n", u.Name, strings.ToUpper(strings.Join(names, " ")), why)
	return nil
}
