package umem

import "fmt"

// Fault is what can be wrong with a descriptor that the kernel hands over. The kernel counts none of these
// (it takes bad and duplicate fill addresses silently), so xrx does.
type Fault uint8

const (
	NoFault    Fault = iota
	BadAddress       // outside the region, or not at a chunk of it
	BadLength        // the packet would run out of its chunk, or begins in front of the packet area
	BadMagic         // the frame's hidden header was overwritten
	NotFilling       // the frame was not the kernel's: a duplicate descriptor, or one for a frame never posted
	NotHome          // the frame belongs to another queue's pool
	NotSending       // completions only: the frame was not posted to a tx ring
	NumFaults
)

var faultNames = [NumFaults]string{"none", "bad_address", "bad_length", "bad_magic", "not_filling", "not_home", "not_sending"}

func (f Fault) String() string { return faultNames[f] }

// Misuse is what can be wrong with the use of a frame by its holders.
type Misuse uint8

const (
	DoubleRelease   Misuse = iota // released more often than retained
	UseAfterRelease               // a handle from an earlier life of the frame
	ForeignAddress                // memory that is not in this Umem
	NotDelivered                  // retained or released while the kernel, GRO or the free set has it
	Corrupt                       // the hidden header was overwritten by a stray write
	NotReceived                   // held, delivered or dropped by the queue while it is not the queue's to hand on
	NotSent                       // recalled from a tx ring that it was not meant for
)

var misuseNames = [...]string{"double release", "use after release", "address outside the UMEM",
	"use or release of a frame that no consumer holds", "hidden header overwritten", "hand-on of a frame that is not received or held",
	"recall of a frame that is not being sent"}

func (m Misuse) String() string { return misuseNames[m] }

// MisuseError is a programmer's error in the use of a frame: panicked with where a call can't return an error.
type MisuseError struct {
	Kind  Misuse
	Frame int   // index, -1 if unknown
	State State // at the time of the misuse, if known
}

func (e *MisuseError) Error() string {
	switch {
	case e.Frame < 0:
		return fmt.Sprintf("umem: %s", e.Kind)
	case e.State != 0:
		return fmt.Sprintf("umem: frame %d: %s (frame is %s)", e.Frame, e.Kind, e.State)
	}
	return fmt.Sprintf("umem: frame %d: %s", e.Frame, e.Kind)
}
