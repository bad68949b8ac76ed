package match_test

import (
	"fmt"

	"xrx/match"
)

func ExampleParse() {
	e, err := match.Parse("tcp port 80 or 443 and not net 10.0.0.0/8")
	fmt.Println(e, err)

	_, err = match.Parse("tcp prot 80")
	fmt.Println(err)
	// Output:
	// (tcp port 80 or tcp port 443) and not net 10.0.0.0/8 <nil>
	// at 5, "prot": want and, or, or the end
}
