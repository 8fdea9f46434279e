// Package debug shows messages and values.
package debug

import (
	"context"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "debug",
	Summary: "Shows a message or a value",
	Doc: `The message and the value are shown as a note on each host, also in check mode; there, a value that depends on an earlier change
is uncertain. Nothing is changed. Sensitive values are shown as (sensitive).`,
	Example: `task "what the host is" {
  debug {
    message = "runs ${facts.distribution.pretty}"
    value   = host.vars
  }
}`,
	Local: true,
	New:   func() modules.Module { return &debug{} },
}

// debug holds the module's arguments.
type debug struct {
	Message string    `hcl:"message,optional" doc:"A text."`
	Value   cty.Value `hcl:"value,optional" doc:"A value of any type, shown as an expression."`
}

// Validate rejects a task that shows nothing.
func (m *debug) Validate() error {
	if m.Message == "" && !m.given() {
		return &modules.ArgumentError{Argument: "message", Problem: "there is nothing to show", Want: "give message, value or both"}
	}
	return nil
}

func (m *debug) given() bool { return m.Value != cty.NilVal && !m.Value.IsNull() }

// OnlyReads implements modules.Reader.
func (m *debug) OnlyReads() bool { return true }

// Plan shows what is asked for.
func (m *debug) Plan(context.Context, modules.Host) (modules.Plan, error) {
	var notes []string
	if m.Message != "" {
		notes = append(notes, strings.TrimSuffix(m.Message, "\n"))
	}
	if m.given() {
		value, _ := m.Value.UnmarkDeep()
		notes = append(notes, string(hclwrite.Format(hclwrite.TokensForValue(value).Bytes())))
	}
	return modules.Plan{Notes: notes}, nil
}
