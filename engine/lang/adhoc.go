package lang

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// AdHocName is used as the file name of a playbook made by AdHoc.
const AdHocName = "task"

// AdHoc is a single task given on a command line.
type AdHoc struct {
	// Hosts is a host pattern.
	Hosts string
	// Command is a program with its arguments, or a single argument with spaces, which is a script for sh; nil if Task
	// is set.
	Command []string
	// Task is the content of a task block: the block of a module and any other task arguments. The arguments of blocks
	// may be on one line.
	Task string
}

// Source returns the source of a playbook with that task.
func (a AdHoc) Source() []byte {
	var b bytes.Buffer
	text := func(s string) []byte { return hclwrite.TokensForValue(cty.StringVal(s)).Bytes() }
	fmt.Fprintf(&b, "play %s {\nhosts = %s\n", text(a.title()), text(a.Hosts))
	fmt.Fprintf(&b, "task %s {\n", text(a.title()))
	switch {
	case a.Command == nil:
		b.WriteString(spread(a.Task))
	case len(a.Command) == 1 && strings.ContainsAny(a.Command[0], " \t\n"):
		fmt.Fprintf(&b, "command {\nshell = %s\nalways = true\n}\nregister = \"answer\"", text(a.Command[0]))
	default:
		argv := make([]cty.Value, len(a.Command))
		for i, arg := range a.Command {
			argv[i] = cty.StringVal(arg)
		}
		fmt.Fprintf(&b, "command {\nargv = %s\nalways = true\n}\nregister = \"answer\"", hclwrite.TokensForValue(cty.TupleVal(argv)).Bytes())
	}
	b.WriteString("\n}\n}\n")
	return b.Bytes()
}

// title returns the name of the play and of its task.
func (a AdHoc) title() string {
	words := strings.Fields(a.Task)
	if a.Command != nil {
		words = strings.Fields(strings.Join(a.Command, " "))
	}
	return strings.Join(words, " ")
}
