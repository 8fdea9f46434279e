package ansible

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Runner runs an inventory file that is a program and returns its output. program is false if the file is not a
// program.
type Runner func(file string, args ...string) (answer []byte, program bool, err error)

// answer parses a program's output for --list: a JSON object with one entry per group, and the variables of hosts in
// _meta.hostvars. Without _meta.hostvars, hostvars is called for the output of --host for each host.
func (inv *Inventory) answer(file string, text []byte, hostvars func(name string) ([]byte, error), open Opener) error {
	d := &document{file: file + " --list", open: open, json: true}
	root, err := d.parseJSON(text)
	if err != nil {
		return err
	}
	var meta *yaml.Node
	var hosts []string
	err = d.each(root, "the groups", func(name string, key, body *yaml.Node) error {
		if name != "_meta" {
			return d.answered(inv, name, body, key.Line, &hosts)
		}
		return d.each(body, name, func(part string, _, value *yaml.Node) error {
			if part == "hostvars" {
				meta = value
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if meta != nil {
		return d.each(meta, "_meta.hostvars", func(name string, _, value *yaml.Node) error {
			if !slices.Contains(hosts, name) { // only members of groups are hosts
				return nil
			}
			vars, err := d.vars(value)
			merge(inv.host(name, d.file, 0).own, vars)
			return err
		})
	}
	for _, name := range hosts {
		text, err := hostvars(name)
		if err != nil {
			return err
		}
		own := &document{file: file + " --host " + name, open: open, json: true}
		root, err := own.parseJSON(text)
		if err != nil {
			return err
		}
		vars, err := own.vars(root)
		if err != nil {
			return err
		}
		merge(inv.host(name, d.file, 0).own, vars)
	}
	return nil
}

// answered parses one group in an answer. A group may also be a list of hosts or, if it has none of the keys hosts,
// vars and children, the variables of a host with the group's name.
func (d *document) answered(inv *Inventory, name string, body *yaml.Node, line int, hosts *[]string) error {
	if !implicit(name) {
		inv.group(name, d.file, line)
	}
	put := func(host string, line int) {
		inv.host(host, d.file, line)
		inv.put(host, name, d.file, line)
		if !slices.Contains(*hosts, host) {
			*hosts = append(*hosts, host)
		}
	}
	set := func(node *yaml.Node) error {
		vars, err := d.vars(node)
		switch {
		case err != nil:
			return err
		case name == "all":
			merge(inv.all, vars)
		case name == "ungrouped" && len(vars) > 0:
			return d.fail(node.Line, "variables of the group ungrouped are not supported")
		case name != "ungrouped":
			merge(inv.group(name, d.file, line).own, vars)
		}
		return nil
	}
	if body.Kind == yaml.SequenceNode {
		return d.names(body, "the hosts of "+name, put)
	}
	parts := map[string]*yaml.Node{}
	if err := d.each(body, "group "+name, func(part string, _, value *yaml.Node) error {
		if slices.Contains([]string{"hosts", "vars", "children"}, part) {
			parts[part] = value
		}
		return nil
	}); err != nil {
		return err
	}
	if len(parts) == 0 {
		put(name, line)
		return set(body)
	}
	if node := parts["hosts"]; node != nil {
		if err := d.names(node, "the hosts of "+name, put); err != nil {
			return err
		}
	}
	if node := parts["children"]; node != nil {
		if err := d.names(node, "the children of "+name, func(child string, line int) { inv.nest(child, name, d.file, line) }); err != nil {
			return err
		}
	}
	if node := parts["vars"]; node != nil {
		return set(node)
	}
	return nil
}

// names calls visit for each name in a list.
func (d *document) names(node *yaml.Node, what string, visit func(name string, line int)) error {
	if node.Kind != yaml.SequenceNode {
		return d.fail(node.Line, "expected a list for %s", what)
	}
	for _, n := range node.Content {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value == "" {
			return d.fail(n.Line, "expected names for %s", what)
		}
		visit(n.Value, n.Line)
	}
	return nil
}

// parseJSON parses an object into a YAML node. JSON cannot be parsed as YAML, which has other escapes and forbids tabs.
func (d *document) parseJSON(text []byte) (*yaml.Node, error) {
	p := &jsonParser{document: d, text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	p.decoder.UseNumber()
	root, err := p.next(0)
	if err == nil {
		if _, more := p.decoder.Token(); !errors.Is(more, io.EOF) {
			err = d.fail(p.at(), "expected one JSON object, and nothing after it")
		}
	}
	switch {
	case err != nil:
		return nil, err
	case root.Kind != yaml.MappingNode:
		return nil, d.fail(root.Line, "expected a JSON object")
	}
	return root, nil
}

// jsonParser turns the tokens of JSON into nodes.
type jsonParser struct {
	*document
	text    []byte
	decoder *json.Decoder
	line    int
	read    int // bytes whose lines are counted
	nodes   int
}

// at returns the line of the last token.
func (p *jsonParser) at() int {
	offset := min(int(p.decoder.InputOffset()), len(p.text))
	p.line += bytes.Count(p.text[p.read:offset], []byte("\n"))
	p.read = offset
	return p.line
}

func (p *jsonParser) next(depth int) (*yaml.Node, error) {
	token, err := p.decoder.Token()
	line := p.at()
	if p.nodes++; p.nodes > mostNodes || depth > deepest {
		return nil, p.fail(line, "the answer is too large or nested too deeply")
	}
	if err != nil {
		return nil, p.fail(line, "expected JSON: %s", strings.ReplaceAll(err.Error(), "EOF", "it ends too early"))
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value, Line: line, Style: yaml.DoubleQuotedStyle}, nil
	}
	switch t := token.(type) {
	case nil:
		return scalar("!!null", "")
	case bool:
		return scalar("!!bool", strconv.FormatBool(t))
	case string:
		return scalar("!!str", t)
	case json.Number:
		if _, err := t.Int64(); err == nil {
			return scalar("!!int", t.String())
		}
		f, err := t.Float64()
		if err != nil || math.IsInf(f, 0) {
			return nil, p.fail(line, "%s is too large for a number", t)
		}
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return scalar("!!float", text)
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line}
	if token == json.Delim('[') {
		node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	}
	for p.decoder.More() {
		child, err := p.next(depth + 1)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	if _, err := p.decoder.Token(); err != nil {
		return nil, p.fail(p.at(), "expected JSON: %s", fmt.Sprint(err))
	}
	return node, nil
}

// wrapped returns the content of an object with which Ansible represents an encrypted or unsafe value. ok is false for
// other objects.
func wrapped(node *yaml.Node) (name string, value *yaml.Node, ok bool) {
	if len(node.Content) != 2 || node.Content[1].Kind != yaml.ScalarNode {
		return "", nil, false
	}
	name = node.Content[0].Value
	return name, node.Content[1], name == "__ansible_vault" || name == "__ansible_unsafe"
}
