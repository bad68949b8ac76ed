package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"xrx/match"
)

// readMatch reads an expression from a file: as on the command line, over as many lines as one likes, with # for comments.
func readMatch(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var expr []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		expr = append(expr, strings.Fields(line)...)
	}
	joined := strings.Join(expr, " ")
	if joined == "" {
		return "", fmt.Errorf("%s has no expression: an empty file would take everything; say so with: ip or not ip", path)
	}
	if _, err := match.Parse(joined); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return joined, nil
}

// onHangup has the expression of the file take effect at each SIGHUP (hangups), until ctx is done or end is called. What is wrong is
// said, and the old one stays.
func onHangup(ctx context.Context, e env, s source, path string, hangups <-chan os.Signal) (end func()) {
	if path == "" {
		return func() {}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-ctx.Done():
				<-stop
				return
			case <-hangups:
			}
			expr, err := readMatch(path)
			if err == nil {
				err = s.SetMatch(expr)
			}
			if err != nil {
				fmt.Fprintf(e.stderr, "xrx: warning: --match-file: %v; the old expression stays: %s\n", err, s.Match())
				continue
			}
			fmt.Fprintln(e.stderr, "xrx: match:", s.Match())
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}
