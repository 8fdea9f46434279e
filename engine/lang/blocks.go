package lang

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
)

// shape lists the attributes and blocks that a block may have.
type shape struct {
	what               string // with an article: "a play"
	attributes, blocks []string
	// otherBlocks is set if other blocks are checked elsewhere: the module blocks of a task.
	otherBlocks bool
}

// check reports the arguments and blocks of a body that its shape does not allow.
func (l *loader) check(body *hclsyntax.Body, s shape) {
	for _, attr := range attributes(body) {
		switch {
		case slices.Contains(s.attributes, attr.Name):
		case slices.Contains(s.blocks, attr.Name):
			l.report(fault(attr.NameRange, fmt.Sprintf("%q is a block", attr.Name),
				fmt.Sprintf("Write it without an equals sign: %s { … }.", attr.Name)))
		case len(s.attributes) == 0:
			detail := upperFirst(s.what) + " has no arguments"
			if len(s.blocks) > 0 {
				detail += ", only the blocks " + strings.Join(s.blocks, ", ")
			}
			l.report(fault(attr.NameRange, fmt.Sprintf("%q is not allowed here", attr.Name), detail+"."))
		default:
			advice := didYouMean(attr.Name, slices.Concat(s.attributes, s.blocks))
			if habit := argumentHabit(attr.Name); habit != "" && !strings.HasPrefix(s.what, "module ") {
				advice = " " + habit
			}
			l.report(fault(attr.NameRange, fmt.Sprintf("unknown argument %q", attr.Name),
				fmt.Sprintf("%s has no such argument.%s", upperFirst(s.what), advice)))
		}
	}
	for _, block := range body.Blocks {
		switch {
		case s.otherBlocks || slices.Contains(s.blocks, block.Type):
		case slices.Contains(s.attributes, block.Type):
			l.report(fault(block.TypeRange, fmt.Sprintf("%q is an argument, not a block", block.Type),
				fmt.Sprintf("Write it with an equals sign: %s = ….", block.Type)))
		case len(s.blocks) == 0:
			l.report(fault(block.TypeRange, fmt.Sprintf("unexpected block %q", block.Type),
				fmt.Sprintf("%s has no blocks.", upperFirst(s.what))))
		default:
			advice := didYouMean(block.Type, s.blocks)
			if habit, ok := blockHabits[block.Type]; ok && !strings.HasPrefix(s.what, "module ") {
				advice = " " + habit
			}
			l.report(fault(block.TypeRange, fmt.Sprintf("unexpected block %q", block.Type),
				fmt.Sprintf("%s has no such block.%s", upperFirst(s.what), advice)))
		}
	}
}

// attributes returns the attributes of a body in source order.
func attributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	all := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, attr := range body.Attributes {
		all = append(all, attr)
	}
	slices.SortFunc(all, func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.NameRange.Start.Byte, b.NameRange.Start.Byte)
	})
	return all
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// label returns the single label that a block must have. meaning says what the label is.
func (l *loader) label(block *hclsyntax.Block, meaning string) (string, bool) {
	if len(block.Labels) != 1 || strings.TrimSpace(block.Labels[0]) == "" {
		l.report(fault(block.DefRange(), fmt.Sprintf("%s block needs one label", block.Type),
			fmt.Sprintf("Write %s in quotes after %s, and nothing else before the brace: %s %q { … }.", meaning, block.Type, block.Type, "…")))
		return "", false
	}
	return block.Labels[0], true
}

// noLabels reports labels of a block that must not have any.
func (l *loader) noLabels(block *hclsyntax.Block) {
	if len(block.Labels) > 0 {
		l.report(fault(block.LabelRanges[0], fmt.Sprintf("%s block has no label", block.Type),
			fmt.Sprintf("Write %s { … }.", block.Type)))
	}
}

// place describes the context of an expression: what the expression may refer to, and the values with which it is
// evaluated.
type place struct {
	// what names the argument in messages: "serial".
	what  string
	roots []string
	// why explains why other roots are not available.
	why string
	ctx *hcl.EvalContext
	// results lists the available results. registers holds all results of the playbook with the place where they are
	// registered.
	results   []string
	registers map[string]hcl.Range
	// onlyOwn, if not empty, explains why hosts[…].facts and hosts[…].result are not available although facts are.
	onlyOwn string
	// anyResult is set if references to results are checked elsewhere.
	anyResult bool
	// space is the namespace of the variables, locals and results; nil means the namespace of the file being read.
	space *namespace
}

// constants returns the place of expressions that are evaluated before any variable has a value.
func (l *loader) constants(dir string) place {
	return place{why: "It is read before any variable has a value, so it must be constant.",
		ctx: &hcl.EvalContext{Functions: l.space.functions[dir]}}
}

// static returns the place of expressions that are evaluated before any host is known.
func (l *loader) static(dir string) place {
	return place{roots: []string{"var", "local"},
		why: "It is evaluated before any host is contacted, so only var and local can be used.",
		ctx: l.space.context(dir, nil)}
}

// inventory returns the place of expressions of a play that are evaluated when the hosts are known, but before any of
// them is connected to.
func (l *loader) inventory(dir, play string, hosts []string) place {
	values := Scope{"hosts": cty.DynamicVal, "groups": cty.DynamicVal}
	all, selected := cty.UnknownVal(cty.List(cty.String)), cty.UnknownVal(cty.List(cty.String))
	if l.options.Inventory != nil {
		values["hosts"], values["groups"] = l.options.Inventory.HostsValue(), l.options.Inventory.GroupsValue()
		all, selected = stringValues(hosts), stringValues(l.limited(hosts))
	}
	values["play"] = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(play), "hosts": all, "selected": selected})
	return place{roots: []string{"var", "local", "hosts", "groups", "play"},
		why: "It is evaluated once for all hosts, so only var, local, hosts, groups and play can be used.",
		ctx: l.space.context(dir, values)}
}

// withVariable returns a copy of a context with one more variable.
func withVariable(ctx *hcl.EvalContext, name string, value cty.Value) *hcl.EvalContext {
	more := *ctx
	more.Variables = maps.Clone(ctx.Variables)
	more.Variables[name] = value
	return &more
}

// stringValues returns a list of strings as expressions see it.
func stringValues(all []string) cty.Value {
	if len(all) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	values := make([]cty.Value, len(all))
	for i, s := range all {
		values[i] = cty.StringVal(s)
	}
	return cty.ListVal(values)
}

// value evaluates and converts an argument of a block. ok is false if the argument is not set, null, unknown because
// of an earlier error, or wrong.
func (l *loader) value(body *hclsyntax.Body, name string, want cty.Type, p place) (cty.Value, bool) {
	attr := body.Attributes[name]
	if attr == nil {
		return cty.NilVal, false
	}
	p.what = name
	if !l.references(attr.Expr, p) {
		return cty.NilVal, false
	}
	v, diags := evaluate(attr.Expr, p.ctx)
	l.report(diags...)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if hclfile.TooLarge(v) {
		l.report(fault(attr.Expr.Range(), fmt.Sprintf("the number for %s is too large", name), hclfile.TooLargeDetail))
		return cty.NilVal, false
	}
	converted, err := hclfile.Convert(v, want)
	if err != nil {
		l.report(fault(attr.Expr.Range(), fmt.Sprintf("wrong type for %s", name),
			fmt.Sprintf("Expected %s, found %s.", article(words(want)), found(v))))
		return cty.NilVal, false
	}
	if !converted.IsWhollyKnown() && l.space.varies() && !l.diags.HasErrors() && !readsOnly(attr.Expr, "hosts", "groups", "play", "host") {
		l.report(l.perHost(attr.Expr, name))
	}
	if converted.IsNull() || !converted.IsWhollyKnown() {
		return cty.NilVal, false
	}
	return converted, true
}

func (l *loader) text(body *hclsyntax.Body, name string, p place) (string, bool) {
	v, ok := l.value(body, name, cty.String, p)
	if !ok {
		return "", false
	}
	return v.AsString(), true
}

func (l *loader) flag(body *hclsyntax.Body, name string, p place) bool {
	v, ok := l.value(body, name, cty.Bool, p)
	return ok && v.True()
}

// stringList returns a list of strings. A single string is a list of one.
func (l *loader) stringList(body *hclsyntax.Body, name string, p place) []string {
	v, ok := l.value(body, name, cty.DynamicPseudoType, p)
	if !ok {
		return nil
	}
	at := body.Attributes[name].Expr.Range()
	if v.Type() == cty.String {
		v = cty.ListVal([]cty.Value{v})
	}
	if v.Type().IsMapType() || v.Type().IsObjectType() || !v.CanIterateElements() {
		l.report(fault(at, fmt.Sprintf("wrong type for %s", name), fmt.Sprintf("Expected a list of strings, found %s.", found(v))))
		return nil
	}
	var all []string
	for _, element := range v.Elements() {
		s, err := convert.Convert(element, cty.String)
		if err != nil || s.IsNull() || s.AsString() == "" {
			l.report(fault(at, fmt.Sprintf("wrong type in %s", name), fmt.Sprintf("Expected a list of non-empty strings, found %s in it.", found(element))))
			return nil
		}
		all = append(all, s.AsString())
	}
	return all
}

// tags returns a list of tags, each of which can be named in --tags.
func (l *loader) tags(body *hclsyntax.Body, p place) []string {
	tags := l.stringList(body, "tags", p)
	for _, tag := range tags {
		if strings.Contains(tag, ",") || strings.TrimSpace(tag) != tag {
			parts := strings.FieldsFunc(tag, func(r rune) bool { return r == ',' })
			for i, part := range parts {
				parts[i] = fmt.Sprintf("%q", strings.TrimSpace(part))
			}
			l.report(fault(body.Attributes["tags"].Expr.Range(), fmt.Sprintf("%q is not a tag", tag),
				fmt.Sprintf("--tags could not select it. Write tags = [%s].", strings.Join(parts, ", "))))
			return nil
		}
	}
	return tags
}
