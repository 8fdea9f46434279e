package lang

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

var playShape = shape{
	what: "a play",
	attributes: []string{"hosts", "serial", "any_errors_fatal", "max_fail_percentage", "become",
		"become_user", "vars", "environment", "tags"},
	blocks: []string{"task", "group", "import", "flush_handlers", "handler"},
}

// play decodes a play; names holds the names of the plays before it.
func (l *loader) play(pb playBlock, names map[string]hcl.Range) {
	name, ok := l.label(pb.block, "a name")
	if !ok {
		return
	}
	if earlier, ok := names[name]; ok {
		l.report(fault(pb.block.LabelRanges[0], fmt.Sprintf("there are two plays %q", name),
			fmt.Sprintf("The other one is at %s. Results are identified by the names of play and task: rename one.", lineOf(earlier))))
	}
	body := pb.block.Body
	names[name] = pb.block.DefRange()
	l.check(body, playShape)
	hosts := l.matched(pb.hosts)
	static, inventory := l.static(pb.dir), l.inventory(pb.dir, name, hosts)
	p := &Play{
		Name:              name,
		Hosts:             pb.hosts,
		Serial:            l.serial(body, inventory),
		AnyErrorsFatal:    l.flag(body, "any_errors_fatal", inventory),
		MaxFailPercentage: l.percentage(body, "max_fail_percentage", inventory),
		Vars:              expression(body, "vars"),
		Environment:       expression(body, "environment"),
		Tags:              union(pb.tags, l.tags(body, static)),
		Range:             pb.block.DefRange(),
		space:             l.space,
		dir:               pb.dir,
		become:            l.becoming(body, inventory, hosts),
	}
	d := &playDecoder{loader: l, play: p, dir: pb.dir, hosts: hosts, static: static, inventory: inventory,
		names: make(map[string]hcl.Range), registered: make(map[string]hcl.Range), roles: make(map[string]hcl.Range)}
	p.Tasks = d.nodes(body, nil, p.Tags, "handler")
	for _, block := range body.Blocks {
		if block.Type == "handler" {
			if t := d.task(block, nil, p.Tags); t != nil {
				p.Handlers = append(p.Handlers, t)
			}
		}
	}
	l.playbook.Plays = append(l.playbook.Plays, p)
}

func expression(body *hclsyntax.Body, name string) hcl.Expression {
	if attr := body.Attributes[name]; attr != nil {
		return attr.Expr
	}
	return nil
}

// hosts returns the host pattern of a play.
func (l *loader) hosts(block *hclsyntax.Block, dir string) string {
	if block.Body.Attributes["hosts"] == nil {
		l.report(fault(block.DefRange(), "the play does not say which hosts it runs on",
			`Add hosts = "PATTERN": the name of a host or a group, "all", or several with ":", ":!" and ":&" between them.`))
		return ""
	}
	return l.pattern(block.Body, dir)
}

// pattern evaluates the hosts attribute of a block that has one. It returns "" if the pattern is wrong.
func (l *loader) pattern(body *hclsyntax.Body, dir string) string {
	at := l.static(dir)
	if l.options.Inventory == nil {
		at.ctx = withVariable(at.ctx, "groups", cty.DynamicVal)
	} else {
		at.ctx = withVariable(at.ctx, "groups", l.options.Inventory.GroupsValue())
	}
	at.roots, at.why = append(at.roots, "groups"), "It chooses the hosts, so only var, local and groups can be used."
	attr := body.Attributes["hosts"]
	pattern, ok := l.text(body, "hosts", at)
	if !ok { // unknown, null, or wrong, which has been reported
		if v, diags := evaluate(attr.Expr, at.ctx); diags.HasErrors() || !v.IsNull() {
			return ""
		}
	}
	pattern = strings.TrimSpace(pattern)
	if pattern == "" {
		l.report(fault(attr.Expr.Range(), "hosts is empty", `Expected the name of a host or a group, or "all".`))
		return ""
	}
	if l.options.Inventory != nil {
		if _, err := l.options.Inventory.Names(pattern); err != nil {
			l.report(fault(attr.Expr.Range(), fmt.Sprintf("hosts %q does not match the inventory", pattern), sentence(err.Error())))
		}
	}
	return pattern
}

// matched returns the hosts that match a pattern. It returns none if there is no inventory, or if the pattern is wrong,
// which pattern reports.
func (l *loader) matched(pattern string) []string {
	if l.options.Inventory == nil || pattern == "" {
		return nil
	}
	hosts, err := l.options.Inventory.Names(pattern)
	if err != nil {
		return nil
	}
	return hosts
}

// limited returns those of the hosts that the limit includes.
func (l *loader) limited(hosts []string) []string {
	if l.options.Limit == "" || len(hosts) == 0 {
		return hosts
	}
	limit, err := l.options.Inventory.Names(l.options.Limit)
	if err != nil { // the source of the pattern reports the error
		return nil
	}
	return slices.DeleteFunc(slices.Clone(hosts), func(name string) bool { return !slices.Contains(limit, name) })
}

// serial returns batch sizes: a number, a percentage, or a list of them.
func (l *loader) serial(body *hclsyntax.Body, at place) []string {
	sizes := l.serialList(body, at)
	for _, size := range sizes {
		number, percent := strings.CutSuffix(size, "%")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || percent && n > 100 {
			l.report(fault(body.Attributes["serial"].Expr.Range(), fmt.Sprintf("%q is not a batch size", size),
				`Expected a whole number of at least 1, a percentage such as "30%", or a list of them.`))
			return nil
		}
	}
	return sizes
}

func (l *loader) serialList(body *hclsyntax.Body, at place) []string {
	if v, ok := l.value(body, "serial", cty.DynamicPseudoType, at); ok && v.Type() == cty.Number {
		return []string{v.AsBigFloat().Text('f', -1)}
	} else if !ok {
		return nil
	}
	return l.stringList(body, "serial", at)
}

func (l *loader) percentage(body *hclsyntax.Body, name string, at place) *float64 {
	v, ok := l.value(body, name, cty.Number, at)
	if !ok {
		return nil
	}
	n := v.AsBigFloat()
	if n.Sign() < 0 || n.Cmp(big.NewFloat(100)) > 0 {
		l.report(fault(body.Attributes[name].Expr.Range(), fmt.Sprintf("%s is out of range", name), "Expected a number from 0 to 100."))
		return nil
	}
	share, _ := n.Float64()
	return &share
}
