// Package stage names the moments of a receiver's start and shutdown, so that tests can kill it at each of them.
package stage

// Hook, which only tests set, before anything else runs, is called at each moment, on the goroutine that got there.
var Hook func(name string)

// At says that a moment is reached. Nothing on the way of a packet calls it.
func At(name string) {
	if Hook != nil {
		Hook(name)
	}
}
