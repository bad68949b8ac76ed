package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCmd(env) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages, one a command",
		Long: "man writes xrx.1, xrx-run.1 and so on into DIR. The pages carry the date of SOURCE_DATE_EPOCH where that is set, else\n" +
			"of the commit that xrx was built from: the same xrx writes the same pages.",
		Example: "  xrx man . && man -l xrx-run.1",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			date, err := manDate(os.LookupEnv, buildSettings())
			if err != nil {
				return err
			}
			return writeMan(c.Root(), args[0], date)
		},
	}
}

// manDate is the date on the pages, in UTC.
func manDate(lookup func(string) (string, bool), built map[string]string) (time.Time, error) {
	if epoch, set := lookup("SOURCE_DATE_EPOCH"); set { // reproducible-builds.org/specs/source-date-epoch
		s, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || s < 0 {
			return time.Time{}, usagef("SOURCE_DATE_EPOCH=%s: want seconds since 1970, or leave it unset", epoch)
		}
		return time.Unix(s, 0).UTC(), nil
	}
	if at, err := time.Parse(time.RFC3339, built["vcs.time"]); err == nil {
		return at.UTC(), nil
	}
	return time.Unix(0, 0).UTC(), nil // built without its repository: any fixed one
}

// writeMan writes the pages of every command that help shows.
func writeMan(root *cobra.Command, dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" { // hidden from help's list, not from the manual
			c.Hidden = false
		}
	}
	return writeManOf(root, dir, date)
}

func writeManOf(c *cobra.Command, dir string, date time.Time) (err error) {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManOf(sub, dir, date); err != nil {
			return err
		}
	}
	c.DisableAutoGenTag = true // no date of today
	c.Long = markdown(c.Long)
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	f, err := os.Create(filepath.Join(dir, name+".1"))
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	header := doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Date: &date, Source: "xrx", Manual: "xrx manual"}
	if err := doc.GenMan(c, &header, f); err != nil {
		return fmt.Errorf("page of %s: %w", name, err)
	}
	return nil
}

// markdown makes of a help text what cobra's pages are written in: its indented lines stay as they are.
func markdown(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != fenced {
			b.WriteString("\n```\n")
			fenced = indented
		}
		b.WriteString(line + "\n")
	}
	if fenced {
		b.WriteString("```\n")
	}
	return strings.TrimRight(b.String(), "\n")
}
