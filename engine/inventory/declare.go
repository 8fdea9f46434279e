package inventory

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/pattern"
)

// The groups that exist without being declared.
const (
	groupAll       = "all"
	groupUngrouped = "ungrouped"
)

// declarations are the decoded blocks of an inventory, before hosts inherit from groups.
type declarations struct {
	decoder
	static     bool // do not run programs
	unsaved    map[string][]byte
	defaults   settings
	defaultsAt *hcl.Range
	hosts      []*hostDecl
	groups     []*groupDecl
	vars       []*declared
}

type hostDecl struct {
	name string
	settings
	at hcl.Range
}

type groupDecl struct {
	name string
	settings
	hosts, children []member
	at              hcl.Range
}

// member is a name in a group's list and its position in the source.
type member struct {
	name string
	at   hcl.Range
}

// blockNames are the blocks of an inventory.
var blockNames = []string{"defaults", "group", "host", "host_variable"}

// file adds the declarations of one file.
func (d *declarations) file(file *hcl.File) {
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	for _, attr := range attributes(body) {
		d.errorf(attr.NameRange, "Unknown attribute", "An inventory consists of blocks: defaults, group \"name\", host \"name\" and host_variable \"name\".")
	}
	for _, block := range body.Blocks {
		switch block.Type {
		case "defaults":
			d.addDefaults(block)
		case "host":
			d.addHost(block)
		case "group":
			d.addGroup(block)
		case "host_variable":
			d.addVariable(block, groupAll)
		default:
			d.unknownBlock(block, "An inventory", blockNames)
		}
	}
}

func (d *declarations) addDefaults(block *hclsyntax.Block) {
	at := block.DefRange()
	if len(block.Labels) != 0 {
		d.errorf(at, "Unexpected name", "The defaults block has no name: it applies to all hosts.")
	}
	if d.defaultsAt != nil {
		d.errorf(at, "Duplicate defaults", "There is a defaults block already, at %s.", d.defaultsAt)
		return
	}
	d.defaultsAt = &at
	for _, attr := range attributes(block.Body) {
		if !d.defaults.set(&d.decoder, attr) {
			d.unknownAttribute(attr, "The defaults block", settingNames)
		}
	}
	d.blocks(block, &d.defaults, "The defaults block", nil)
}

// hostName matches names that can be used in patterns and cannot be mistaken for an option of a program.
var hostName = pattern.New(`^[\pL\pN_][\pL\pN\pM_.-]*$`)

func (d *declarations) addHost(block *hclsyntax.Block) (member, bool) {
	name, ok := d.label(block, "host")
	if !ok {
		return member{}, false
	}
	if !hostName.MatchString(name) {
		d.errorf(block.LabelRanges[0], "Invalid host name", "%q is not a host name. Host names consist of letters, digits, \".\", \"_\" and \"-\", and begin with a letter, a digit or \"_\".", name)
		return member{}, false
	}
	for _, other := range d.hosts {
		if other.name == name {
			d.errorf(block.DefRange(), "Duplicate host", "The host %q is declared at %s already. To put a host into several groups, list it in their hosts.", name, other.at)
			return member{}, false
		}
	}
	host := &hostDecl{name: name, at: block.DefRange()}
	d.hosts = append(d.hosts, host)
	for _, attr := range attributes(block.Body) {
		if !host.set(&d.decoder, attr) {
			d.unknownAttribute(attr, "A host", settingNames)
		}
	}
	d.blocks(block, &host.settings, "A host", nil)
	return member{name, block.LabelRanges[0]}, true
}

func (d *declarations) addGroup(block *hclsyntax.Block) {
	name, ok := d.label(block, "group")
	if !ok {
		return
	}
	at := block.DefRange()
	switch {
	case !hclsyntax.ValidIdentifier(name):
		d.errorf(block.LabelRanges[0], "Invalid group name", "%q is not an identifier, which playbooks need (groups.NAME): letters, digits, \"_\" and \"-\", beginning with a letter.", name)
		return
	case name == groupUngrouped:
		d.errorf(block.LabelRanges[0], "Reserved group name", "The group %q is implicit: it contains the hosts that are in no other group.", name)
		return
	}
	for _, other := range d.groups {
		if other.name == name {
			d.errorf(at, "Duplicate group", "There is a group %q already, at %s.", name, other.at)
			return
		}
	}
	group := &groupDecl{name: name, at: at}
	d.groups = append(d.groups, group)
	for _, attr := range attributes(block.Body) {
		isList := attr.Name == "hosts" || attr.Name == "children"
		switch {
		case isList && name == groupAll:
			d.errorf(attr.NameRange, "Unknown attribute", "The group \"all\" contains every host, so it cannot have %s.", attr.Name)
		case attr.Name == "hosts":
			group.hosts = append(group.hosts, d.members(attr)...)
		case attr.Name == "children":
			group.children = d.members(attr)
		case !group.set(&d.decoder, attr):
			d.unknownAttribute(attr, "A group", groupNames)
		}
	}
	d.blocks(block, &group.settings, "A group", map[string]func(*hclsyntax.Block){
		"host": func(host *hclsyntax.Block) {
			if m, ok := d.addHost(host); ok {
				group.hosts = append(group.hosts, m)
			}
		},
		"host_variable": func(variable *hclsyntax.Block) { d.addVariable(variable, name) },
	})
}

// blocks decodes the blocks within a block: at most one rehearsal block, and those of the given types.
func (d *declarations) blocks(block *hclsyntax.Block, s *settings, where string, others map[string]func(*hclsyntax.Block)) {
	known := append([]string{"rehearsal"}, slices.Sorted(maps.Keys(others))...)
	seen := false
	for _, inner := range block.Body.Blocks {
		switch {
		case inner.Type == "rehearsal" && seen:
			d.errorf(inner.DefRange(), "Duplicate rehearsal", "%s can have only one rehearsal block.", where)
		case inner.Type == "rehearsal":
			s.rehearsal, seen = d.rehearsal(inner), true
		case others[inner.Type] != nil:
			others[inner.Type](inner)
		default:
			d.unknownBlock(inner, where, known)
		}
	}
}

// members decodes a list of names.
func (d *declarations) members(attr *hclsyntax.Attribute) []member {
	names := d.strings(attr)
	if names == nil {
		return nil
	}
	members := make([]member, len(*names))
	for i, name := range *names {
		members[i] = member{name, elementRange(attr.Expr, i)}
	}
	return members
}
