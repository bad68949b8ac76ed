package own_test

import (
	"fmt"
	"iter"

	"xrx/own"
)

// text is something that can be held; an xrx.Packet is another.
type text string

func (t text) Retain()     {}
func (t text) Release()    { fmt.Printf("%q has gone\n", string(t)) }
func (t text) Frames() int { return 1 }
func (t text) Len() int    { return len(t) }
func (t text) Segments() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { yield([]byte(t)) }
}

func Example() {
	capture, writer := own.New("capture", 2), own.New("writer", 0)
	flow := capture.Owner("10.0.0.1:80", 0)

	first, _ := flow.Take(text("headers, payload"))
	flow.Take(text("another"))
	if _, err := flow.Take(text("one too many")); err != nil {
		fmt.Println(err)
	}
	payload, _ := first.Split(9, 16)
	writer.Adopt(payload)
	payload.OnRelease(func() { fmt.Println("the payload is written") })
	fmt.Print(own.Report())

	capture.Release() // everything below it, but for the bytes that writer has a part of
	fmt.Printf("still there: %s\n", payload.Bytes(nil))
	writer.Release()
	// Output:
	// own: capture holds 2 of at most 2 frames: no room for 1 more
	// holder          packets  frames  limit  bytes  oldest
	// capture               2       2      2     23       -
	// └─ 10.0.0.1:80        2       2      -     23       -
	// writer                1       1      -     16       -
	// "another" has gone
	// still there: payload
	// the payload is written
	// "headers, payload" has gone
}
