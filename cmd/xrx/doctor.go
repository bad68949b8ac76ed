package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"xrx/internal/doctor"
)

func newDoctorCmd(e env) *cobra.Command {
	var asJSON bool
	var try string
	c := &cobra.Command{
		Use:   "doctor IFACE",
		Short: "Examine an interface and this machine for AF_XDP: what is well, what is not, why, and what mends it",
		Args:  oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			switch doctor.Try(try) {
			case doctor.TryAuto, doctor.TryAlways, doctor.TryNever:
			default:
				return usagef("--try %q: want auto, always or never", try)
			}
			return examine(e, args[0], asJSON, doctor.Try(try))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object instead of text")
	c.Flags().StringVar(&try, "try", string(doctor.TryAuto), "bind a queue with zero-copy to see whether it works: auto (unless the machine's traffic could suffer), always or never")
	return c
}

// examine prints the examination; a check that failed is an error, so that scripts have an exit code.
func examine(e env, iface string, asJSON bool, try doctor.Try) error {
	runtime.LockOSThread() // one thread's namespaces and capabilities
	defer runtime.UnlockOSThread()
	r, missing := doctor.Examine(iface, doctor.Options{Try: try})
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
