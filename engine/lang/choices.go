package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// wrongChoice returns the first text of a known value that is not among the argument's choices, if there is one.
func (a Argument) wrongChoice(value cty.Value) (string, bool) {
	if len(a.Choices) == 0 {
		return "", false
	}
	texts := []cty.Value{value}
	if value.Type().IsListType() {
		texts = value.AsValueSlice()
	}
	for _, text := range texts {
		if text.IsNull() {
			continue // assign rejects it
		}
		if s := text.AsString(); !slices.Contains(a.Choices, s) {
			return s, true
		}
	}
	return "", false
}

// choiceFault returns the diagnostic for a value that is not among the choices.
func (a Argument) choiceFault(wrong string, at hcl.Range) *hcl.Diagnostic {
	detail := ""
	if near := suggest.Nearest(wrong, a.Choices); near != "" {
		detail = fmt.Sprintf("Did you mean %q? ", near)
	}
	return fault(at, fmt.Sprintf("%s cannot be %q", a.Name, wrong), detail+"The choices are "+strings.Join(a.Choices, ", ")+".")
}
