package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"xrx/internal/doctor"
)

func newDoctorCmd(e env) *cobra.Command {
	var asJSON, restore, force bool
	var try, stateDir string
	c := &cobra.Command{
		Use:   "doctor IFACE",
		Short: "Examine an interface and this machine for AF_XDP: what is well, what is not, why, and what mends it",
		Args:  oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if force && !restore {
				return usagef("--force is for --restore")
			}
			if restore {
				return restoreSettings(e, args[0], stateDir, force)
			}
			switch doctor.Try(try) {
			case doctor.TryAuto, doctor.TryAlways, doctor.TryNever:
			default:
				return usagef("--try %q: want auto, always or never", try)
			}
			return examine(e, args[0], asJSON, doctor.Options{Try: doctor.Try(try), StateDir: stateDir})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object instead of text")
	c.Flags().BoolVar(&restore, "restore", false, "put back the settings of the interface that a receiver left changed when it was killed")
	c.Flags().BoolVar(&force, "force", false, "with --restore: also settings that somebody has changed since")
	registerStateDir(c.Flags(), &stateDir)
	c.Flags().StringVar(&try, "try", string(doctor.TryAuto), "bind a queue with zero-copy to see whether it works: auto (unless the machine's traffic could suffer), always or never")
	return c
}

// examine prints the examination; a check that failed is an error, so that scripts have an exit code.
func examine(e env, iface string, asJSON bool, opts doctor.Options) error {
	runtime.LockOSThread() // one thread's namespaces and capabilities
	defer runtime.UnlockOSThread()
	r, missing := doctor.Examine(iface, opts)
	if asJSON {
		if err := r.WriteJSON(e.stdout); err != nil {
			return err
		}
	}
	if missing != nil {
		return missing
	}
	if !asJSON {
		if err := r.WriteText(e.stdout); err != nil {
			return err
		}
	}
	if failed := r.Failed(); failed != nil {
		return fmt.Errorf("%s: %d of %d checks failed: %s", iface, len(failed), len(r.Checks), strings.Join(failed, ", "))
	}
	return nil
}

// restoreSettings puts back what a receiver left changed; what it could not, or would not, is an error.
func restoreSettings(e env, iface, stateDir string, force bool) error {
	runtime.LockOSThread() // one thread's namespace
	defer runtime.UnlockOSThread()
	done, err := doctor.Restore(iface, stateDir, force)
	for _, line := range done {
		fmt.Fprintln(e.stdout, line)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", iface, err)
	}
	return nil
}
