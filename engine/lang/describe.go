package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"hlplay/modules"
)

// Describe returns the documentation of a module as Markdown: what it does, its arguments and blocks with types and
// defaults, and its example.
func Describe(spec modules.Spec) string {
	schema := Schema(spec)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", spec.Name, spec.Summary)
	if doc := strings.TrimSpace(spec.Doc); doc != "" {
		fmt.Fprintf(&b, "\n%s\n", doc)
	}
	describeBody(&b, spec.Name, schema.Body)
	if results := modules.ResultFields(spec.Result); len(results) > 0 {
		fmt.Fprintf(&b, "\n## Results of `%s`\n\n| Name | Type | |\n|---|---|---|\n", spec.Name)
		for _, r := range results {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, typeName(r.Type), cell(r.Doc))
		}
	}
	if example := strings.Trim(spec.Example, "\n"); example != "" {
		fmt.Fprintf(&b, "\n## Example\n\n```hcl\n%s\n```\n", example)
	}
	return b.String()
}

func describeBody(b *strings.Builder, name string, body BodySchema) {
	column := func(string) string { return "" } // the column of choices, if any argument has some
	if slices.ContainsFunc(body.Arguments, func(a Argument) bool { return len(a.Choices) > 0 }) {
		column = func(cell string) string { return " " + cell + " |" }
	}
	if len(body.Arguments) > 0 {
		fmt.Fprintf(b, "\n## Arguments of `%s`\n\n| Name | Type |%s Default | |\n|---|---|%s---|---|\n", name, column("Choices"), strings.ReplaceAll(column("---"), " ", ""))
	}
	for _, a := range body.Arguments {
		value := ""
		switch {
		case a.Required:
			value = "required"
		case a.Default != "":
			value = "`" + a.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s |%s %s | %s |\n", a.Name, a.Type, column(choices(a)), cell(value), cell(a.Doc))
	}
	if len(body.Blocks) > 0 {
		fmt.Fprintf(b, "\n## Blocks of `%s`\n\n| Name | How often | |\n|---|---|---|\n", name)
	}
	for _, block := range body.Blocks {
		often := "at most once"
		switch {
		case block.Required:
			often = "once"
		case block.Repeated:
			often = "any number"
		}
		name := block.Name
		if label := block.Body.Label; label != nil {
			name += fmt.Sprintf(" %q", strings.ToUpper(label.Name))
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, often, cell(block.Doc))
	}
	for _, block := range body.Blocks {
		describeBody(b, name+"."+block.Name, block.Body)
	}
}

// choices formats an argument's choices as code.
func choices(a Argument) string {
	if len(a.Choices) == 0 {
		return ""
	}
	return "`" + strings.Join(a.Choices, "`, `") + "`"
}

// DescribeFunctions returns the documentation of all functions as a table in Markdown.
func DescribeFunctions(specs []modules.Spec) string {
	var b strings.Builder
	b.WriteString("| Function | |\n|---|---|\n")
	for _, f := range Functions(specs) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Signature, cell(f.Doc))
	}
	return b.String()
}

// cell returns text that does not break a table cell.
func cell(s string) string { return strings.ReplaceAll(oneLine(s), "|", `\|`) }

// CheckExample checks a module's example, which consists of one or more tasks, as Load checks a playbook.
func CheckExample(spec modules.Spec, o Options) hcl.Diagnostics {
	src := fmt.Sprintf("play %q {\nhosts = \"all\"\n%s\n}\n", "example of "+spec.Name, spec.Example)
	_, diags := LoadSource("example of "+spec.Name+".hcl", []byte(src), o)
	return diags
}
