package lsp

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/secret"
	"hlplay/modules"
)

// place is a cursor in a document, with what the document can refer to there.
type place struct {
	cursor
	seen
	name, text string
}

func (s *server) place(uri string, p position, wholeWord bool) (place, error) {
	name, text, err := s.text(uri)
	if err != nil {
		return place{}, err
	}
	at := offset(text, p)
	if wholeWord {
		for at < len(text) && partOfName(text[at]) {
			at++
		}
	}
	c := locate(text, at)
	saw, err := s.snapshot().look(name, c.play())
	return place{cursor: c, seen: saw, name: name, text: text}, err
}

// module returns the module around the cursor, and the schema of the module's block that contains the cursor.
func (p place) module() (spec modules.Spec, body lang.BodySchema, ok bool) {
	kinds := p.kinds()
	i := slices.IndexFunc(kinds, func(k string) bool { return k == "task" || k == "handler" }) + 1
	if p.kind == hosts || i == 0 || i >= len(kinds) {
		return spec, body, false
	}
	spec, ok = p.spec(kinds[i])
	if !ok {
		return spec, body, false
	}
	body = lang.Schema(spec).Body
	for _, kind := range kinds[i+1:] {
		j := slices.IndexFunc(body.Blocks, func(b lang.BlockSchema) bool { return b.Name == kind })
		if j < 0 {
			return spec, body, false
		}
		body = body.Blocks[j].Body
	}
	return spec, body, true
}

func (p place) spec(name string) (modules.Spec, bool) {
	i := slices.IndexFunc(p.options.Modules, func(s modules.Spec) bool { return s.Name == name })
	if i < 0 {
		return modules.Spec{}, false
	}
	return p.options.Modules[i], true
}

// argumentOf returns the module's argument whose value contains the cursor.
func (p place) argumentOf() (lang.Argument, bool) {
	_, body, ok := p.module()
	if !ok || p.argument == "" {
		return lang.Argument{}, false
	}
	return argument(body, p.argument)
}

func argument(body lang.BodySchema, name string) (lang.Argument, bool) {
	i := slices.IndexFunc(body.Arguments, func(a lang.Argument) bool { return a.Name == name })
	if i < 0 {
		return lang.Argument{}, false
	}
	return body.Arguments[i], true
}

// completion lists the completions at a position.
func (s *server) completion(params positionParams) (any, error) {
	p, err := s.place(params.Document.URI, params.Position, false)
	if err != nil {
		return nil, err
	}
	items := []completionItem{}
	where := span{at(p.text, p.start), params.Position}
	for _, i := range p.candidates() {
		if strings.HasPrefix(strings.ToLower(i.Label), strings.ToLower(p.word)) {
			if i.TextEdit.NewText == "" {
				i.TextEdit.NewText = i.Label
			}
			i.TextEdit.Range = where
			items = append(items, i)
		}
	}
	slices.SortStableFunc(items, func(a, b completionItem) int { return cmp.Compare(a.Label, b.Label) })
	return items, nil
}

func (p place) candidates() []completionItem {
	switch {
	case p.comment:
		return nil
	case p.quoted && p.argument != "":
		return p.texts()
	case p.quoted, p.argument == "" && len(p.header) > 0, p.argument == "" && len(p.path) > 1:
		return nil
	case p.argument == "" && !(len(p.blocks) > 0 && p.blocks[len(p.blocks)-1].kind == "locals"):
		return p.names()
	case p.argument == "":
		return nil
	case len(p.path) > 1:
		return p.fields()
	}
	return p.values()
}

// names returns the arguments and blocks of the block that contains the cursor.
func (p place) names() []completionItem {
	var items []completionItem
	has := map[string]bool{}
	if len(p.blocks) > 0 {
		has = p.blocks[len(p.blocks)-1].has
	}
	if _, body, ok := p.module(); ok {
		for _, a := range body.Arguments {
			if !has[a.Name] {
				items = append(items, completionItem{Label: a.Name, Kind: kindProperty, Detail: detail(a), Documentation: markdown(lang.DescribeArgument(a)), TextEdit: textEdit{NewText: a.Name + " = "}})
			}
		}
		for _, b := range body.Blocks {
			items = append(items, completionItem{Label: b.Name, Kind: kindBlock, Detail: "block", Documentation: markdown(b.Doc), TextEdit: textEdit{NewText: b.Name + " "}})
		}
		return items
	}
	arguments, blocks, module := p.allowed()
	for _, name := range arguments {
		if !has[name] {
			items = append(items, completionItem{Label: name, Kind: kindProperty, TextEdit: textEdit{NewText: name + " = "}})
		}
	}
	for _, name := range blocks {
		items = append(items, completionItem{Label: name, Kind: kindBlock, Detail: "block", TextEdit: textEdit{NewText: name + " "}})
	}
	if module {
		for _, spec := range p.options.Modules {
			items = append(items, completionItem{Label: spec.Name, Kind: kindModule, Detail: spec.Summary, Documentation: markdown(spec.Doc), TextEdit: textEdit{NewText: spec.Name + " "}})
		}
	}
	return items
}

func (p place) allowed() (arguments, blocks []string, module bool) {
	if p.kind == hosts {
		arguments, blocks = inventory.Allowed(p.kinds()...)
		return arguments, blocks, false
	}
	return lang.Allowed(p.kind == role, p.kinds()...)
}

// detail returns the type and the default of an argument.
func detail(a lang.Argument) string {
	switch {
	case a.Required:
		return a.Type + ", required"
	case a.Default != "":
		return a.Type + ", default " + a.Default
	}
	return a.Type
}

// texts returns the completions for text in the value of an argument.
func (p place) texts() []completionItem {
	if a, ok := p.argumentOf(); ok {
		return named(a.Choices, kindEnumMember)
	}
	var names []string
	switch p.argument {
	case "notify":
		for _, h := range p.Handlers {
			names = append(names, h.Name)
		}
	case "tags":
		if p.playbook != nil {
			names = p.playbook.Tags()
		}
	case "hosts", "delegate_to", "children":
		if p.inventory == nil {
			return nil
		}
		if p.argument != "children" {
			for _, h := range p.inventory.Hosts {
				names = append(names, h.Name)
			}
		}
		if p.argument == "children" || p.argument == "hosts" && p.kind != hosts {
			for _, g := range p.inventory.Groups {
				names = append(names, g.Name)
			}
		}
	}
	slices.Sort(names)
	return named(slices.Compact(names), kindReference)
}

func named(names []string, kind int) []completionItem {
	var items []completionItem
	for _, name := range names {
		items = append(items, completionItem{Label: name, Kind: kind})
	}
	return items
}

// values returns the completions at the beginning of an argument's value.
func (p place) values() []completionItem {
	if p.kind == hosts {
		return nil
	}
	var items []completionItem
	if a, ok := p.argumentOf(); ok {
		for _, choice := range a.Choices {
			items = append(items, completionItem{Label: choice, Kind: kindEnumMember, TextEdit: textEdit{NewText: fmt.Sprintf("%q", choice)}})
		}
		if a.Type == "bool" {
			items = append(items, named([]string{"true", "false"}, kindEnumMember)...)
		}
	}
	for _, root := range slices.Sorted(maps.Keys(p.Roots)) {
		items = append(items, completionItem{Label: root, Kind: kindVariable})
	}
	for _, f := range lang.Functions(p.options.Modules) {
		items = append(items, completionItem{Label: f.Name, Kind: kindFunction, Detail: f.Signature, Documentation: markdown(f.Doc), TextEdit: textEdit{NewText: f.Name + "("}})
	}
	return items
}

// typeOf returns the type of what a dotted name refers to. "*" stands for an index.
func (p place) typeOf(path []string) (cty.Type, bool) {
	root, ok := p.Roots[path[0]]
	if !ok {
		return cty.NilType, false
	}
	ty := root.Type()
	for _, name := range path[1:] {
		switch {
		case ty.IsObjectType() && name == "*":
			for _, member := range ty.AttributeTypes() { // members of `hosts` and the like have the same type
				ty = member
				break
			}
		case ty.IsObjectType() && ty.HasAttribute(name):
			ty = ty.AttributeType(name)
		case ty.IsMapType(), ty.IsListType() && name == "*":
			ty = ty.ElementType()
		default:
			return cty.NilType, false
		}
	}
	return ty, true
}

// fields returns the completions after the last dot.
func (p place) fields() []completionItem {
	of := p.path[:len(p.path)-1]
	ty, ok := p.typeOf(of)
	if !ok || !ty.IsObjectType() {
		return nil
	}
	var items []completionItem
	for name, field := range ty.AttributeTypes() {
		if !hclsyntax.ValidIdentifier(name) {
			continue
		}
		i := completionItem{Label: name, Kind: kindField, Detail: lang.TypeName(field)}
		i.Documentation = markdown(p.explain(append(of[:len(of):len(of)], name)))
		items = append(items, i)
	}
	return items
}

// explain documents what a dotted name refers to, as Markdown. It returns "" if there is nothing to say.
func (p place) explain(path []string) string {
	ty, ok := p.typeOf(path)
	if !ok || len(path) < 2 {
		return ""
	}
	head := "`" + strings.ReplaceAll(strings.Join(path, "."), ".*", "[…]") + "` — " + lang.TypeName(ty)
	switch path[0] {
	case "var":
		if v := p.Variables[path[1]]; v != nil && len(path) == 2 {
			return lang.DescribeVariable(v)
		}
	case "facts":
		for _, f := range observe.Facts() {
			if f.Name == path[1] {
				return head + "\n\n" + f.Doc
			}
		}
	case "result":
		t := p.Results[path[1]]
		switch {
		case t != nil && len(path) == 2:
			return fmt.Sprintf("`result.%s` — of the task %q", path[1], t.Name)
		case t != nil:
			for _, f := range modules.ResultFields(t.Module.Result) {
				if f.Name == path[len(path)-1] {
					return head + "\n\n" + f.Doc
				}
			}
		}
	}
	return head
}

// hover documents what is at a position.
func (s *server) hover(params positionParams) (any, error) {
	p, err := s.place(params.Document.URI, params.Position, true)
	if err != nil {
		return nil, err
	}
	if text := p.documentation(); text != "" {
		return hover{markup{"markdown", text}, span{at(p.text, p.start), at(p.text, p.start+len(p.word))}}, nil
	}
	return nil, nil
}

func (p place) documentation() string {
	rest := strings.TrimLeft(p.text[min(p.start+len(p.word), len(p.text)):], " \t")
	switch {
	case p.comment || p.word == "":
		return ""
	case p.quoted:
		if a, ok := p.argumentOf(); ok {
			return lang.DescribeArgument(a)
		}
		return ""
	case p.argument != "" && strings.HasPrefix(rest, "(") && len(p.path) == 1:
		for _, f := range lang.Functions(p.options.Modules) {
			if f.Name == p.word {
				return "`" + f.Signature + "`\n\n" + f.Doc
			}
		}
		return ""
	case p.argument != "":
		return p.explain(p.path)
	case len(p.header) > 0:
		return ""
	}
	if _, body, ok := p.module(); ok {
		if a, ok := argument(body, p.word); ok {
			return lang.DescribeArgument(a)
		}
		for _, b := range body.Blocks {
			if b.Name == p.word {
				return b.Doc
			}
		}
		return ""
	}
	if _, _, module := p.allowed(); module {
		if spec, ok := p.spec(p.word); ok {
			return lang.Describe(spec)
		}
	}
	return ""
}

// definition returns the declaration of what is at a position.
func (s *server) definition(params positionParams) (any, error) {
	p, err := s.place(params.Document.URI, params.Position, true)
	if err != nil {
		return nil, err
	}
	if p.quoted || p.path == nil {
		return p.quotedDefinition(s)
	}
	if len(p.path) < 2 {
		return nil, nil
	}
	switch name := p.path[1]; p.path[0] {
	case "var":
		if v := p.Variables[name]; v != nil {
			return s.location(p.playbook.Files, v.Range), nil
		}
	case "local":
		if r, ok := p.Locals[name]; ok {
			return s.location(p.playbook.Files, r), nil
		}
	case "result":
		if t := p.Results[name]; t != nil {
			return s.location(p.playbook.Files, t.Range), nil
		}
	}
	return nil, nil
}

// quotedDefinition returns what quoted text refers to: a handler, a host or a group, a file.
func (p place) quotedDefinition(s *server) (any, error) {
	end := strings.IndexAny(p.text[p.start:], "\"\n")
	if end < 0 || p.comment {
		return nil, nil
	}
	word := p.text[p.start : p.start+end]
	switch {
	case p.argument == "notify":
		for _, h := range p.Handlers {
			if h.Name == word {
				return s.location(p.playbook.Files, h.Range), nil
			}
		}
		return nil, nil
	case slices.Contains([]string{"hosts", "delegate_to", "children"}, p.argument) && p.inventory != nil:
		if g := p.inventory.Group(word); g != nil && g.Range.Filename != "" {
			return s.location(p.inventory.Files, g.Range), nil
		}
		if h := p.inventory.Host(word); h != nil {
			return s.location(p.inventory.Files, h.Range), nil
		}
		return nil, nil
	}
	path := word
	if slices.Equal(p.header, []string{"import"}) {
		inner := p.kind == role || len(p.blocks) > 0
		path = lang.ImportPath(p.name, word, inner)
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(p.name), path)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	return location{URI: s.uri(path)}, nil
}

// location returns the location of a declaration.
func (s *server) location(files map[string]*hcl.File, r hcl.Range) any {
	file := files[r.Filename]
	if file == nil {
		return nil
	}
	return location{s.uri(r.Filename), spanOf(string(file.Bytes), r)}
}

// formatting returns the edits that format a document: one that replaces the lines that differ. There are none if the
// document does not parse: its diagnostics say why.
func (s *server) formatting(params positionParams) (any, error) {
	name, text, err := s.text(params.Document.URI)
	if err != nil {
		return nil, err
	}
	edits := []textEdit{}
	if secret.IsFile([]byte(text)) {
		return edits, nil
	}
	out, _, diags := hclfile.Format([]byte(text), name)
	if diags.HasErrors() || string(out) == text {
		return edits, nil
	}
	before, after := strings.SplitAfter(text, "\n"), strings.SplitAfter(string(out), "\n")
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	tail := 0
	for tail < min(len(before), len(after))-same && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	start := len(strings.Join(before[:same], ""))
	end := len(text) - len(strings.Join(before[len(before)-tail:], ""))
	return append(edits, textEdit{span{at(text, start), at(text, end)}, strings.Join(after[same:len(after)-tail], "")}), nil
}
