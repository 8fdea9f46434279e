package inventory

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
)

// installedCard reports whether a simulated node may have a network card of that name before any kernel renames it:
// ens18 to ens99.
func installedCard(name string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "ens"))
	return err == nil && n >= 18 && n <= 99 && name == "ens"+strconv.Itoa(n)
}

// rename decodes a block with a kernel's name for a network card. before are the renames that precede it in its block.
func (d *decoder) rename(block *hclsyntax.Block, before []Rename) (Rename, bool) {
	card, ok := d.label(block, "network card")
	if !ok {
		return Rename{}, false
	}
	if !installedCard(card) {
		d.errorf(block.LabelRanges[0], "Invalid network card", "%q is not a network card of a simulated node: its address is on ens18, and those of addresses are on ens19, ens20 and so on.", card)
		return Rename{}, false
	}
	r := Rename{Card: card, Kernel: "*"}
	for _, attr := range attributes(block.Body) {
		switch attr.Name {
		case "kernel":
			set(&r.Kernel, d.nonEmpty(attr))
			if _, err := path.Match(r.Kernel, ""); err != nil {
				d.errorf(attr.Expr.Range(), "Invalid kernel", "%q is not a pattern of kernel releases, such as \"6.14.*\" or \"*-amd64\".", r.Kernel)
				return Rename{}, false
			}
		case "to":
			set(&r.To, d.matching(attr, pattern.New(`^[a-z][a-z0-9]{0,14}$`), "enp6s18")) // the kernel accepts others too
		default:
			d.unknownAttribute(attr, "A rename block", []string{"kernel", "to"})
		}
	}
	for _, inner := range block.Body.Blocks {
		d.unknownBlock(inner, "A rename block", nil)
	}
	if r.To == "" {
		d.errorf(block.DefRange(), "Incomplete rename", "A rename block needs to: the name that the kernel gives to %s.", card)
		return Rename{}, false
	}
	if slices.ContainsFunc(before, func(other Rename) bool { return other.Card == r.Card && other.Kernel == r.Kernel }) {
		d.errorf(block.DefRange(), "Duplicate rename", "This rehearsal block says already what the kernel %s names %s.", r.Kernel, card)
		return Rename{}, false
	}
	return r, true
}

func writeRename(body *hclwrite.Body, r Rename) {
	body.SetAttributeValue("kernel", cty.StringVal(r.Kernel))
	body.SetAttributeValue("to", cty.StringVal(r.To))
}
