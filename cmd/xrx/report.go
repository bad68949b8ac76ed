package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"xrx/stats/page"
)

func newReportCmd(e env) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "report RUN.jsonl",
		Short: "Make a page with charts and tables of what run --json wrote",
		Long: "report reads the lines that xrx run --json wrote and makes one HTML file of them: throughput, loss by reason,\n" +
			"processor time and coalescing over time, tables, the mode. The file needs no network and no script.",
		Example: "  xrx run eth1 --json --duration 1m > run.jsonl\n  xrx report run.jsonl -o report.html",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("report wants one file, like: xrx report run.jsonl -o report.html")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return report(e, args[0], output) },
	}
	c.Flags().StringVarP(&output, "output", "o", "", "the page's file (-: standard output; default: RUN.html)")
	return c
}

// report makes the page output of the JSON lines in input. Nothing is written unless all of input could be read.
func report(e env, input, output string) error {
	if output == "" {
		output = strings.TrimSuffix(input, filepath.Ext(input)) + ".html"
	}
	if sameFile(input, output) {
		return usagef("--output %s would overwrite what it is made from", output)
	}
	f, err := os.Open(input)
	if err != nil {
		return err
	}
	defer f.Close()
	run, err := page.Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", input, err)
	}
	if run.CutOff > 0 {
		fmt.Fprintf(e.stderr, "xrx: warning: %s: line %d, the last, is cut off and left out\n", input, run.CutOff)
	}
	var b bytes.Buffer
	if err := page.Write(&b, run, filepath.Base(input)); err != nil {
		return err
	}
	if output == "-" {
		_, err := b.WriteTo(e.stdout)
		return err
	}
	if err := os.WriteFile(output, b.Bytes(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %d intervals of %s\n", output, len(run.Intervals), run.Whole().Iface)
	return nil
}

// sameFile reports whether two paths lead to one regular file.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y) && x.Mode().IsRegular()
}
