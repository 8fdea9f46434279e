package lang

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/roles"
)

// Allowed returns the names of the arguments and blocks that a block of a playbook may contain, given its type and
// those of the blocks around it, outermost first. Without any, it is about the file itself. role is set for the file of
// a role. module is set if the block may contain a module's block; the blocks of modules themselves are described by
// Schema.
func Allowed(role bool, within ...string) (arguments, blocks []string, module bool) {
	s := playbookShape
	if role {
		s = roleShape
	}
	if len(within) > 0 {
		switch within[len(within)-1] {
		case "play":
			s = playShape
		case "task", "handler":
			s = taskShape
		case "group":
			s = groupShape
		case "rescue", "always":
			s = partShape
		case "import":
			s = roleImportShape
			if len(within) == 1 && !role {
				s = importShape
			}
		case "variable":
			s = variableShape
		case "validation":
			s = validationShape
		default:
			s = shape{}
		}
	}
	return s.attributes, s.blocks, s.otherBlocks
}

// IsRole reports whether the body of a file is that of a role: its tasks are not inside a play.
func IsRole(body *hclsyntax.Body) bool {
	return slices.ContainsFunc(body.Blocks, func(b *hclsyntax.Block) bool {
		return b.Type != "import" && b.Type != "variable" && b.Type != "locals" && slices.Contains(roleShape.blocks, b.Type)
	})
}

// Imports returns the files that a file imports, in source order. Roles that are imported by an address are omitted.
func Imports(body *hclsyntax.Body, path string) []string {
	role := IsRole(body)
	var all []string
	var visit func(body *hclsyntax.Body, inner bool)
	visit = func(body *hclsyntax.Body, inner bool) {
		for _, b := range body.Blocks {
			switch {
			case b.Type != "import":
				visit(b.Body, true)
			case len(b.Labels) != 1 || b.Labels[0] == "" || roles.IsAddress(b.Labels[0]):
			default:
				all = append(all, ImportPath(path, b.Labels[0], inner || role))
			}
		}
	}
	visit(body, false)
	return all
}

// View is what a file of a playbook can refer to. It is filled in as far as the playbook could be read, even if there
// were errors.
type View struct {
	// Roots holds what expressions see, by name: `var`, `facts`, and so on. Values that only a host can provide are
	// unknown, but of the right type.
	Roots map[string]cty.Value
	// Variables and Locals are the declarations behind `var` and `local`, Results the tasks behind `result`.
	Variables map[string]*Variable
	Locals    map[string]hcl.Range
	Results   map[string]*Task
	// Handlers are the handlers that tasks can notify.
	Handlers []Handler
}

// Handler is a handler, by the name with which a task notifies it.
type Handler struct {
	Name string
	*Task
}

// View returns what a file can refer to. If play is not empty, the handlers are only those of that play. o must be the
// options with which the playbook was loaded.
func (p *Playbook) View(file, play string, o Options) View {
	sp := p.space
	for _, r := range p.roles {
		if r.file == file {
			sp, play = r.inner, r.play.Name
			break
		}
	}
	l := &loader{options: o, playbook: p}
	v := View{
		Roots:     l.unknownScope(&Play{Name: play}),
		Variables: sp.variables, Locals: make(map[string]hcl.Range, len(sp.locals)), Results: make(map[string]*Task),
	}
	locals := make(map[string]cty.Value, len(sp.locals))
	for name, x := range sp.locals {
		v.Locals[name], locals[name] = x.at, cty.DynamicVal
		if x.value != cty.NilVal {
			locals[name] = x.value
		}
	}
	results := (&validator{loader: l}).resultShapes()
	v.Roots["var"], v.Roots["local"] = sp.anyValues(), cty.ObjectVal(locals)
	v.Roots["result"], v.Roots["each"] = sp.ownResult(results), unknownItem
	v.Roots["host"] = p.anyHost(o)
	full := make(map[string]string) // full names of results
	for name := range v.Roots["result"].Type().AttributeTypes() {
		full[sp.result(name)] = name
	}
	for _, of := range p.Plays {
		walk(of, func(t *Task) {
			if name, ok := full[t.Register]; ok && v.Results[name] == nil {
				v.Results[name] = t
			}
		})
		if play != "" && of.Name != play {
			continue
		}
		for _, h := range of.Handlers {
			if name, ok := strings.CutPrefix(h.Name, sp.namePrefix()); ok {
				v.Handlers = append(v.Handlers, Handler{name, h})
			}
		}
	}
	return v
}

// anyHost returns `host` with all variables that any host of the inventory has or that the playbook declares.
func (p *Playbook) anyHost(o Options) cty.Value {
	vars := make(map[string]cty.Value)
	if o.Inventory != nil {
		for _, h := range o.Inventory.HostsValue().AsValueMap() {
			for name, ty := range h.GetAttr("vars").Type().AttributeTypes() {
				vars[name] = cty.UnknownVal(ty)
			}
		}
	}
	for _, declared := range p.HostVariables {
		vars[declared.Name] = cty.UnknownVal(declared.Type)
	}
	host := unknownHost.AsValueMap()
	host["vars"] = cty.ObjectVal(vars)
	return cty.ObjectVal(host)
}

// DescribeArgument returns the documentation of a module's argument as Markdown: its type, default and choices, and its
// meaning.
func DescribeArgument(a Argument) string {
	text := "`" + a.Name + "` — " + a.Type
	switch {
	case a.Required:
		text += ", required"
	case a.Default != "":
		text += ", default `" + a.Default + "`"
	}
	if len(a.Choices) > 0 {
		text += "; one of " + choices(a)
	}
	return strings.TrimSpace(text + "\n\n" + a.Doc)
}

// DescribeVariable returns the documentation of a variable as Markdown, in the form of DescribeArgument.
func DescribeVariable(v *Variable) string {
	text := "`var." + v.Name + "` — " + typeName(v.Type)
	switch value := shownDefault(v.Default, v.Sensitive); {
	case value == "required" || value == "(sensitive)":
		text += ", " + value
	case value != "":
		text += ", default " + value
	}
	return strings.TrimSpace(text + "\n\n" + v.Description)
}

// TypeName returns the name of a type in HCL: "list(string)".
func TypeName(ty cty.Type) string { return typeName(ty) }

// ImportPath returns the file that an import refers to. role is set if a role is imported, that is, if the import is
// inside a play or a role.
func ImportPath(file, label string, role bool) string {
	path := importPath(filepath.Dir(file), label)
	if role {
		return fileOfRole(path)
	}
	return path
}
