package lang

import (
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
)

// Console evaluates individual expressions outside the tasks of a playbook.
type Console struct {
	loader *loader
	dir    string
}

// NewConsole returns a console whose expressions see the variables and locals of a playbook, or none if path is empty.
// Paths of files are relative to the playbook's directory or, without a playbook, to the working directory. The
// returned playbook is for quoting lines in diagnostics.
func NewConsole(path string, o Options) (*Console, *Playbook, hcl.Diagnostics) {
	l := newLoader(path, o, hclfile.Read)
	c := &Console{loader: l, dir: "."}
	if path == "" {
		l.space.functions[c.dir] = l.files.functions(caller{dir: c.dir})
	} else {
		path = filepath.Clean(path)
		c.dir = filepath.Dir(path)
		l.include(path, nil, nil, nil)
	}
	if !l.broken() {
		l.resolveVariables()
		l.resolveLocals()
	}
	return c, l.playbook, arrange(l.diags, l.order)
}

// consoleFile is used as the file name of an expression.
const consoleFile = "expression"

// Question is a parsed expression.
type Question struct {
	console *Console
	expr    hcl.Expression
	// Facts lists the facts that it reads; AllFacts is set if it reads all of them.
	Facts    []string
	AllFacts bool
}

// Ask parses an expression and checks the names in it. The returned file is for quoting lines in diagnostics.
func (c *Console) Ask(text string) (*Question, *hcl.File, hcl.Diagnostics) {
	file := &hcl.File{Bytes: []byte(text)}
	expr, diags := hclfile.ParseExpression(file.Bytes, consoleFile)
	if diags.HasErrors() {
		return nil, file, diags
	}
	meter(expr)
	c.loader.diags = nil
	c.loader.references(expr, place{
		what: "the console", roots: []string{"var", "local", "host", "hosts", "groups", "facts"},
		why:     "An expression in the console belongs to no task and no play.",
		onlyOwn: "The console is connected to one host, and facts.NAME are the facts of that host. To read the facts of another, start the console with it.",
		ctx:     c.loader.playbook.space.context(c.dir, nil),
	})
	r := newReferences()
	r.read(placed{expr, c.loader.space})
	return &Question{console: c, expr: expr, Facts: names(r.facts), AllFacts: r.allFacts}, file, c.loader.diags
}

// Answer evaluates the expression and returns its value as HCL. Sensitive parts are not shown.
func (q *Question) Answer(s Scope) (string, hcl.Diagnostics) {
	value, diags := evaluate(q.expr, q.console.loader.playbook.space.context(q.console.dir, s))
	if diags.HasErrors() {
		return "", diags
	}
	value, _ = cty.Transform(value, func(_ cty.Path, v cty.Value) (cty.Value, error) {
		if v.HasMark(Sensitive) {
			return cty.StringVal("(sensitive)"), nil
		}
		v, _ = v.Unmark()
		return v, nil
	})
	return strings.TrimSuffix(string(hclwrite.Format(hclwrite.TokensForValue(value).Bytes())), "\n"), nil
}
