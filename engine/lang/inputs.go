package lang

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
	"hlplay/engine/hostvar"
)

// Inputs reads what a playbook and its imports declare: Variables and HostVariables. It needs no values for them and,
// unlike Load, checks nothing else.
func Inputs(path string, o Options) (*Playbook, hcl.Diagnostics) {
	l := newLoader(path, o, hclfile.Read)
	l.include(filepath.Clean(path), nil, nil, nil)
	return l.playbook, arrange(l.diags, l.order)
}

// DescribeInputs returns the documentation of variables as Markdown, in the same form as Describe. The caller says for
// which hosts a variable is declared.
func DescribeInputs(title string, variables []*Variable, ofHosts []HostInput) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", title)
	if len(variables) > 0 {
		b.WriteString("\n## Variables\n\n| Name | Type | Default | |\n|---|---|---|---|\n")
	}
	for _, v := range variables {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, typeName(v.Type), shownDefault(v.Default, v.Sensitive), cell(v.Description))
	}
	if len(ofHosts) > 0 {
		b.WriteString("\n## Variables of hosts\n\n| Name | Hosts | Type | Default | |\n|---|---|---|---|---|\n")
	}
	for _, v := range ofHosts {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", v.Name, v.Hosts, typeName(v.Type), shownDefault(v.Default, v.Sensitive), cell(v.Description))
	}
	if len(variables)+len(ofHosts) == 0 {
		b.WriteString("\nIt declares no variables.\n")
	}
	return b.String()
}

// HostInput is a host variable and the hosts that it is declared for.
type HostInput struct {
	*hostvar.Variable
	Hosts string
}

func typeName(ty cty.Type) string { return strings.Replace(words(ty), "value of any type", "any", 1) }

// shownDefault formats a default for a table cell.
func shownDefault(v cty.Value, sensitive bool) string {
	switch {
	case v == cty.NilVal:
		return "required"
	case sensitive:
		return "(sensitive)"
	case !v.IsWhollyKnown(): // it is wrong, which has been reported
		return ""
	}
	v, _ = v.UnmarkDeep()
	return "`" + cell(string(hclwrite.TokensForValue(v).Bytes())) + "`"
}
