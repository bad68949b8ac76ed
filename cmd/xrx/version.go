package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Stamped by scripts/release.sh (-ldflags "-X main.version=v1.2.3"); "": what the go command took from the repository.
var version, commit string

func newVersionCmd(e env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			from := commit
			if from == "" {
				from = buildSettings()["vcs.revision"]
			}
			if from != "" {
				from = " " + from[:min(12, len(from))]
			}
			fmt.Fprintf(e.stdout, "xrx %s%s %s %s/%s\n", versionName(), from, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

func versionName() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "devel"
}

// buildSettings returns what the go command wrote about the build, like vcs.revision.
func buildSettings() map[string]string {
	settings := map[string]string{}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			settings[s.Key] = s.Value
		}
	}
	return settings
}
