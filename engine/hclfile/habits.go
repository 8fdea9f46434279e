package hclfile

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/pattern"
)

// Forms written by people who are used to YAML, Ansible or the shell.
var (
	yamlStart  = pattern.New(`^(---|- |-$|[A-Za-z_][\w-]*:(\s|$))`)
	colonForm  = pattern.New(`^\s*"?([A-Za-z_][\w-]*)"?:(?:\s+(.*?))?\s*$`)
	noEquals   = pattern.New(`^\s*([A-Za-z_][\w-]*)\s+("[^"]*"|[^\s"={]\S*)\s*$`)
	shellForm  = pattern.New(`^\s*([A-Za-z_][\w-]*)\s+([A-Za-z_][\w-]*)\s*=\s*(.*?)\s*$`)
	bareForm   = pattern.New(`^\s*(?:.*[{,]\s*)?([A-Za-z_][\w-]*)\s*=\s*([^\s"'\[{(<=][^"'{}]*?)\s*[};]*\s*$`)
	noName     = pattern.New(`^\s*=\s*(.*?)\s*$`)
	jinja      = pattern.New(`\{\{-?\s*(.*?)\s*-?\}\}`)
	wordLogic  = pattern.New(`\s(and|or|not)\s`)
	isDefined  = pattern.New(`([\w.\[\]"-]+)\s+is\s+(not\s+)?defined`)
	secretName = pattern.New(`(?i)pass|secret|token|key`)
	singleForm = pattern.New(`'([^'"]*)'`)
)

// explain replaces syntax errors caused by such a habit with a diagnostic that shows the correct form.
func explain(diags hcl.Diagnostics, src []byte) hcl.Diagnostics {
	for _, d := range diags {
		if d.Severity != hcl.DiagError || d.Subject == nil {
			continue
		}
		if summary, detail := habit(d, src); summary != "" {
			d.Summary, d.Detail = summary, detail
		}
	}
	return diags
}

// habit returns the diagnostic for a syntax error, or empty strings if no known habit causes it.
func habit(d *hcl.Diagnostic, src []byte) (summary, detail string) {
	at := d.Subject.Start
	begin := bytes.LastIndexByte(src[:min(at.Byte, len(src))], '\n') + 1
	rest := string(src[begin:])
	line, after, _ := strings.Cut(rest, "\n")
	if len(uncommented(src[:begin])) == 0 && yamlStart.MatchString(line) {
		return "this is YAML", `hlplay reads HCL. A playbook begins with play "NAME" { hosts = "PATTERN" … }, an inventory with ` +
			`host "NAME" { address = "ADDRESS" }; docs/language.md shows both.`
	}
	if m := jinja.FindStringSubmatch(line); m != nil && !strings.Contains(line, `"{{`) {
		return "{{ }} is not an expression", fmt.Sprintf(`Write the expression itself: %s. In a string, write "…${%s}…".`, m[1], m[1])
	}
	if m := colonForm.FindStringSubmatch(line); m != nil {
		if m[2] == "" {
			if strings.HasPrefix(strings.TrimSpace(after), "- ") {
				return "an argument is set with =, not with :", fmt.Sprintf(`Write %s = ["…", "…"].`, m[1])
			}
			return "an argument is set with =, not with :", fmt.Sprintf("Write %s = …, or %s { … } for a block.", m[1], m[1])
		}
		return "an argument is set with =, not with :", fmt.Sprintf("Write %s = %s.", m[1], shown(m[1], m[2]))
	}
	if m := shellForm.FindStringSubmatch(line); m != nil {
		return "arguments belong in braces", fmt.Sprintf("Write %s { %s = … }, with each argument on a line of its own if there are several.", m[1], m[2])
	}
	if m := noName.FindStringSubmatch(line); m != nil {
		return "a name is missing before the equals sign", fmt.Sprintf("Write NAME = %s.", quoted(m[1]))
	}
	if m := noEquals.FindStringSubmatch(line); m != nil && d.Summary == "Invalid block definition" {
		return "an equals sign is missing", fmt.Sprintf("Write %s = %s.", m[1], shown(m[1], m[2]))
	}
	if m := singleForm.FindStringSubmatch(line); m != nil && strings.Contains(d.Detail, "Single quotes") {
		return "text needs double quotes", fmt.Sprintf("Write %q.", m[1])
	}
	if m := bareForm.FindStringSubmatch(line); m != nil {
		return bareValue(m[1], m[2])
	}
	return "", ""
}

// bareValue returns the diagnostic for an argument whose value is not an expression.
func bareValue(name, value string) (summary, detail string) {
	if m := isDefined.FindStringSubmatch(value); m != nil {
		negation := ""
		if m[2] != "" {
			negation = "!"
		}
		return `"is defined" is not an operator`, fmt.Sprintf("Write %s = %scan(%s).", name, negation, m[1])
	}
	if wordLogic.MatchString(" " + value + " ") {
		return "and, or and not are not operators", "Write && for and, || for or, ! for not."
	}
	if _, diags := hclsyntax.ParseExpression([]byte(value), "", hcl.InitialPos); !diags.HasErrors() {
		return "", "" // the error is elsewhere
	}
	if strings.ContainsAny(value, "?=!&|+*(") {
		return "", "" // more than a single word
	}
	return "text needs quotes", fmt.Sprintf("Write %s = %s.", name, shown(name, value))
}

// shown returns a value as it should be written, or "…" if it may be secret.
func shown(name, value string) string {
	if secretName.MatchString(name) {
		return `"…"`
	}
	return quoted(value)
}

// quoted returns a value as it is written in HCL: text in quotes, expressions unchanged.
func quoted(value string) string {
	switch value = strings.TrimSuffix(strings.TrimSpace(value), ";"); strings.ToLower(value) {
	case "yes", "on", "true":
		return "true"
	case "no", "off", "false":
		return "false"
	case "":
		return "…"
	}
	if m := jinja.FindStringSubmatch(value); m != nil && strings.Trim(value, `"'`) == m[0] {
		return m[1]
	}
	if value[0] == '\'' {
		return fmt.Sprintf("%q", strings.Trim(value, "'"))
	}
	expr, diags := hclsyntax.ParseExpression([]byte(value), "", hcl.InitialPos)
	if _, word := expr.(*hclsyntax.ScopeTraversalExpr); !diags.HasErrors() && !word {
		return value
	}
	return fmt.Sprintf("%q", value)
}

// uncommented returns a source without empty lines and comments, or nil if nothing is left.
func uncommented(src []byte) []byte {
	var left []byte
	for line := range bytes.Lines(src) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.HasPrefix(line, []byte("//")) {
			left = append(left, line...)
		}
	}
	return left
}
