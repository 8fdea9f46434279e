//go:build linux && peers

package peers

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"
)

var (
	program = flag.String("hlplay", "../../../bin/hlplay", "the program to be measured, as `make build` makes it")
	page    = flag.String("page", "", "Markdown `file` to write the table into, between its markers")
)

// Files that the tools work from.
const (
	playbook      = "../../../playbooks/bench/node.hcl"
	ansibleFolder = "../../../testdata/peers"
)

// role names the part that this program plays when it starts itself: it is then no test.
const role = "HLPLAY_PEERS_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "":
		flag.Parse()
		os.Exit(m.Run())
	case "meter":
		err = meter(os.Args[1:])
	case "floor":
		err = floor(os.Args[1:])
	case "changes":
		err = changes(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// chosen are the cases to be measured, "TOOL RUN DISTANCE" such as "tuned converged 50ms"; all if
// PEERS_CASES does not say otherwise.
var chosen = regexp.MustCompile(os.Getenv("PEERS_CASES"))
