package doctor

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteText writes a line for each check, and below those that are not well why it matters and what mends it.
func (r *Report) WriteText(w io.Writer) error {
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.ID))
	}
	for _, c := range r.Checks {
		if _, err := fmt.Fprintf(w, "%-4s  %-*s  %s\n", c.Verdict, width, c.ID, c.Found); err != nil {
			return err
		}
		if c.Verdict == OK {
			continue
		}
		fmt.Fprintf(w, "%*s  why: %s\n", 6+width, "", c.Why)
		if c.Fix != "" {
			fmt.Fprintf(w, "%*s  fix: %s\n", 6+width, "", c.Fix)
		}
	}
	_, err := fmt.Fprintf(w, "%s: %d ok, %d warn, %d fail\n", r.Interface, r.Count(OK), r.Count(Warn), r.Count(Fail))
	return err
}

// WriteJSON writes the report as one object on a line.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }
