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

// Files that the tools use.
const (
	playbook      = "../../../playbooks/bench/node.hcl"
	ansibleFolder = "../../../testdata/peers"
)

// role is the environment variable with the part that this program plays when it starts itself, in which case it runs
// no tests.
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

// chosen matches the cases to measure, "TOOL RUN DISTANCE" such as "tuned converged 50ms" or, with real packets,
// "tuned first 50ms packets". All match if PEERS_CASES is not set.
var chosen = regexp.MustCompile(os.Getenv("PEERS_CASES"))
