// Command xrx receives packets with AF_XDP: it runs the receiver and reports, generates test traffic, and shows both
// at work over a veth pair of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// env is what a command may touch of the world, so that a test of the command line is a function call.
type env struct {
	stdout, stderr io.Writer
}

func main() {
	// The first SIGINT or SIGTERM ends the command in order, with its summary; a second one ends it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0)) // a queue's thread keeps its seat while it sleeps (docs/adr/0008-seat.md)
	}
	code := execute(ctx, env{os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// commands is the command table: one constructor per file.
var commands = []func(env) *cobra.Command{newRunCmd, newDumpCmd, newForwardCmd, newFlowsCmd, newHelperCmd, newGenCmd, newDemoCmd, newDoctorCmd, newSteerCmd, newReportCmd, newManCmd, newVersionCmd}

// newRoot returns the command with all of the table below it.
func newRoot(e env) *cobra.Command {
	root := &cobra.Command{
		Use:           "xrx",
		Short:         "AF_XDP zero-copy packet receiver",
		Long:          "xrx receives packets from a network interface through AF_XDP, merges TCP and UDP segments (GRO) on the way,\nand reports what it did: rate, loss by reason, processor time per packet, and where every frame is.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.DisableSuggestions = true // a complaint is one line
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{err} })
	for _, c := range commands {
		root.AddCommand(c(e))
	}
	return root
}

// execute runs one command line and returns its exit code: 0, 1 when something failed, 2 when it was asked wrongly.
func execute(ctx context.Context, e env, args []string) int {
	root := newRoot(e)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	line := strings.ReplaceAll(err.Error(), "\n", "; ") // joined errors come on a line each
	fmt.Fprintln(e.stderr, "xrx:", strings.TrimPrefix(line, "xrx: "))
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return 2
	}
	return 1
}

// usageError is a command line that can't be carried out whatever the machine: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// oneInterface is the argument rule of commands that work on an interface.
func oneInterface(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("%s wants one interface, like: xrx %s eth1", c.Name(), c.Name())
	}
	return nil
}
