package ansible

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"go.yaml.in/yaml/v3"

	"hlplay/engine/vault"
)

// yaml reads a file in YAML, or in JSON, which is a subset of it.
func (inv *Inventory) yaml(file string, text []byte, open Opener) error {
	d := &document{file: file, open: open}
	root, err := d.parse(text)
	if err != nil || root == nil {
		return err
	}
	return d.each(root, "the inventory", func(name string, key, body *yaml.Node) error {
		return d.group(inv, name, body, key.Line, 0)
	})
}

// varsFile reads a file of variables.
func varsFile(file string, text []byte, open Opener) (map[string]cty.Value, error) {
	d := &document{file: file, open: open}
	if vault.Is(text) {
		opened, err := d.opened(text, 0)
		if err != nil {
			return nil, err
		}
		plain, _ := opened.Unmark()
		if !plain.IsKnown() { // it could not be decrypted, which the caller has already reported
			return nil, nil
		}
		text, d.marks = []byte(plain.AsString()), opened
	}
	root, err := d.parse(text)
	if err != nil || root == nil {
		return nil, err
	}
	return d.vars(root)
}

// document is a YAML file.
type document struct {
	file string
	open Opener
	// marks, if set, carries the marks to apply to all values.
	marks cty.Value
	nodes int
	// json is set for the output of a program.
	json bool
}

// mostNodes limits the size to which aliases can expand a file.
const mostNodes = 1_000_000

func (d *document) fail(line int, format string, args ...any) error {
	return &Error{d.file, line, fmt.Sprintf(format, args...)}
}

// parse returns the root, or nil for an empty document.
func (d *document) parse(text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, d.fail(0, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return doc.Content[0], nil
}

// each calls visit for each entry of a mapping. Null counts as an empty mapping.
func (d *document) each(node *yaml.Node, what string, visit func(name string, key, value *yaml.Node) error) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return d.fail(node.Line, "expected a mapping for %s", what)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if d.nodes++; d.nodes > mostNodes {
			return d.fail(node.Line, "the file is too large")
		}
		if err := visit(node.Content[i].Value, node.Content[i], node.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) group(inv *Inventory, name string, body *yaml.Node, line, depth int) error {
	if depth > deepest {
		return d.fail(line, "groups are nested too deeply")
	}
	if !implicit(name) {
		inv.group(name, d.file, line)
	}
	return d.each(body, "group "+name, func(part string, key, value *yaml.Node) error {
		switch part {
		case "hosts":
			return d.each(value, "the hosts of "+name, func(pattern string, key, vars *yaml.Node) error {
				return d.hosts(inv, name, pattern, vars, key.Line)
			})
		case "children":
			return d.each(value, "the children of "+name, func(child string, key, body *yaml.Node) error {
				inv.nest(child, name, d.file, key.Line)
				return d.group(inv, child, body, key.Line, depth+1)
			})
		case "vars":
			vars, err := d.vars(value)
			switch {
			case err != nil:
				return err
			case name == "all":
				merge(inv.all, vars)
			case name == "ungrouped":
				return d.fail(key.Line, "variables of the group ungrouped are not supported")
			default:
				merge(inv.group(name, d.file, line).own, vars)
			}
			return nil
		}
		return d.fail(key.Line, "a group can have hosts, children and vars, but not %q", part)
	})
}

func (d *document) hosts(inv *Inventory, group, pattern string, vars *yaml.Node, line int) error {
	names, port, err := hostNames(pattern)
	if err != nil {
		return d.fail(line, "%s", err)
	}
	own, err := d.vars(vars)
	if err != nil {
		return err
	}
	for _, name := range names {
		h := inv.host(name, d.file, line)
		inv.put(name, group, d.file, line)
		if port != "" {
			h.own["ansible_port"] = literal(port)
		}
		merge(h.own, own)
	}
	return nil
}

func (d *document) vars(node *yaml.Node) (map[string]cty.Value, error) {
	all := map[string]cty.Value{}
	err := d.each(node, "variables", func(name string, _, value *yaml.Node) (err error) {
		all[name], err = d.value(value, 0)
		return err
	})
	return all, err
}

// value converts a node as Ansible does, which uses YAML 1.1.
func (d *document) value(node *yaml.Node, depth int) (cty.Value, error) {
	if d.nodes++; d.nodes > mostNodes || depth > deepest {
		return cty.NilVal, d.fail(node.Line, "the value is too large or nested too deeply")
	}
	switch node.Kind {
	case yaml.AliasNode:
		return d.value(node.Alias, depth+1)
	case yaml.SequenceNode:
		all := make([]cty.Value, len(node.Content))
		for i, n := range node.Content {
			var err error
			if all[i], err = d.value(n, depth+1); err != nil {
				return cty.NilVal, err
			}
		}
		return cty.TupleVal(all), nil
	case yaml.MappingNode:
		if name, value, ok := wrapped(node); ok && d.json {
			if name == "__ansible_vault" {
				return d.opened([]byte(value.Value), node.Line)
			}
			return d.value(value, depth+1)
		}
		all := map[string]cty.Value{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			v, err := d.value(node.Content[i+1], depth+1)
			if err != nil {
				return cty.NilVal, err
			}
			if node.Content[i].Tag != "!!merge" {
				all[node.Content[i].Value] = v
				continue
			}
			if v.Type().IsObjectType() { // "<<" provides only keys that are not given next to it
				for name, inherited := range v.AsValueMap() {
					if _, own := all[name]; !own {
						all[name] = inherited
					}
				}
			}
		}
		return cty.ObjectVal(all), nil
	}
	return d.scalar(node)
}

func (d *document) scalar(node *yaml.Node) (cty.Value, error) {
	mark := func(v cty.Value) cty.Value {
		if d.marks == cty.NilVal {
			return v
		}
		return v.WithSameMarks(d.marks)
	}
	text := node.Value
	switch node.Tag {
	case "!vault", "!vault-encrypted":
		return d.opened([]byte(text), node.Line)
	case "!!null":
		return cty.NullVal(cty.DynamicPseudoType), nil
	case "!!bool":
		return mark(cty.BoolVal(strings.EqualFold(text, "true"))), nil
	case "!!int":
		if n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64); err == nil && !strings.HasPrefix(text, "0o") {
			return mark(cty.NumberIntVal(n)), nil
		}
	case "!!float":
		if f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64); err == nil && strings.Contains(text, ".") {
			return mark(cty.NumberFloatVal(f)), nil
		}
	}
	if node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 && node.Tag == "!!str" {
		switch text {
		case "yes", "Yes", "YES", "on", "On", "ON":
			return mark(cty.True), nil
		case "no", "No", "NO", "off", "Off", "OFF":
			return mark(cty.False), nil
		}
	}
	return mark(cty.StringVal(text)), nil
}

func (d *document) opened(sealed []byte, line int) (cty.Value, error) {
	if d.open == nil {
		return cty.NilVal, d.fail(line, "the value is encrypted")
	}
	v, err := d.open(sealed)
	if err != nil {
		var at *Error
		if errors.As(err, &at) {
			return cty.NilVal, err
		}
		return cty.NilVal, d.fail(line, "%s", err)
	}
	return v, nil
}
