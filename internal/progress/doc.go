// Package progress shows on standard error how far a long run is: on a terminal one line that is drawn again and again in
// its place, elsewhere a line now and then. A goroutine of its own asks for the state, a few times a second; what is being
// measured or sent does nothing for it but count. Of the terminal it changes nothing: a process that is killed leaves at
// most a line that stands there.
package progress
