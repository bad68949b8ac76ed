package main

import (
	"github.com/spf13/pflag"

	"xrx/internal/progress"
)

// progressFlag adds --progress, which without a value means on.
func progressFlag(fs *pflag.FlagSet, w *progress.When) {
	*w = progress.Auto
	fs.Var(w, "progress", progress.Help)
	fs.Lookup("progress").NoOptDefVal = string(progress.On)
}
