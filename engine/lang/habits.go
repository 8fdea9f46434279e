package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
)

// Words that Ansible users write, and their equivalents here. Each text is the end of a message.

var argumentHabits = map[string]string{
	"with_items": "loop", "with_list": "loop", "with_dict": "loop", "loop": "loop", "with_fileglob": "loop", "with_sequence": "loop",
	"name":         `The name is the block's label: task "NAME" { … }.`,
	"hosts":        "A play chooses the hosts; for a task on some of them, write when = contains(groups.NAME, host.name).",
	"failed_when":  "Write an assert on result.NAME in a task after this one.",
	"changed_when": "A module detects changes itself; for a command that changes nothing, set reads.",
	"check_mode":   "Tasks that only read also run in check mode; for a command that changes nothing, set reads.",
	"local_action": `Write delegate_to = "localhost", and declare it in the inventory: host "localhost" { connection = "local" }.`,
	"listen":       "A task names its handlers in notify.",
	"no_log":       "Mark the value: sensitive(…), or sensitive = true in its variable.",
	"gather_facts": "Remove it: facts are read when an expression uses them.",
	"remote_user":  "The user is set in the inventory: user = \"NAME\".",
	"block":        "Put tasks that share conditions into a group: group \"NAME\" { … }.",
	"tasks":        `Tasks are blocks: task "NAME" { … }.`,
	"handlers":     `Handlers are blocks: handler "NAME" { … }.`,
	"roles":        `A role is imported in a play: import "roles/NAME" { vars = { … } }.`,
	"strategy":     "Remove it; serial makes batches.",
}

const loopHabit = "Write for_each = LIST; the module reads each.value, and each.key."

var blockHabits = map[string]string{
	"task":         `Put the task into a play: play "NAME" { hosts = "PATTERN" … }.`,
	"handler":      `Put the handler into a play: play "NAME" { hosts = "PATTERN" … }.`,
	"tasks":        `Write each task as a block of its own: task "NAME" { … }.`,
	"handlers":     `Write each handler as a block of its own: handler "NAME" { … }.`,
	"block":        `Put tasks that share conditions into a group: group "NAME" { … }.`,
	"vars":         "Write locals { NAME = VALUE }, or variable \"NAME\" { default = VALUE } for what can be set with -e.",
	"host":         "Declare hosts in the inventory, a separate file that you pass with -i.",
	"group":        "Declare groups of hosts in the inventory, a separate file that you pass with -i; groups of tasks belong in a play.",
	"include":      `Write import "FILE.hcl" {}.`,
	"include_vars": "Pass values with -e @FILE; write defaults in variable blocks.",
	"role":         `Write import "roles/NAME" { vars = { … } }.`,
}

var nameHabits = map[string]string{
	"item":                 "An item of for_each is each.value.",
	"inventory_hostname":   "The name of the host is host.name.",
	"ansible_host":         "The address of the host is host.address.",
	"ansible_facts":        "Facts are facts.NAME.",
	"ansible_hostname":     "It is facts.hostname.",
	"ansible_fqdn":         "It is facts.fqdn.",
	"ansible_default_ipv4": "It is facts.default_route, or host.address for the address in the inventory.",
	"hostvars":             `The variables of another host are hosts["NAME"].vars.`,
	"group_names":          "The groups of the host are host.groups.",
	"play_hosts":           "The hosts of the play are play.hosts.",
	"omit":                 "Write null: an argument that is null counts as not set.",
	"yes":                  "Write true.", "Yes": "Write true.", "on": "Write true.", "True": "Write true.",
	"no": "Write false.", "No": "Write false.", "off": "Write false.", "False": "Write false.",
	"None": "Write null.", "none": "Write null.", "lookup": "To read a file on the controller, write file(\"PATH\").",
}

// argumentHabit returns advice for an argument name that Ansible users write, or "" if there is none.
func argumentHabit(name string) string {
	if text := argumentHabits[name]; text != "loop" {
		return text
	}
	return loopHabit
}

// nameHabit returns advice for a name that Ansible users write in expressions, or "" if there is none.
func nameHabit(name string) string {
	if text, ok := nameHabits[name]; ok {
		return text
	}
	if rest, ok := strings.CutPrefix(name, "ansible_"); ok {
		return fmt.Sprintf("Facts are facts.NAME (%s, perhaps): docs/language.md lists them.", rest)
	}
	return ""
}

// foreign matches an Ansible template that names something in a playbook.
var foreign = pattern.New(`\{\{-?\s*((?:host|hosts|groups|facts|var|vars|result|each|play|hostvars)[.\[][\w.\[\]"'-]*|item\b[\w.]*|inventory_hostname|ansible_\w+)\s*-?\}\}`)

// foreignTemplate warns about text such as "{{ host.name }}", which nothing substitutes.
func (l *loader) foreignTemplate(expr hcl.Expression) {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		literal, ok := n.(*hclsyntax.LiteralValueExpr)
		if !ok || literal.Val.Type() != cty.String || literal.Val.IsNull() {
			return nil
		}
		m := foreign.FindStringSubmatch(literal.Val.AsString())
		if m == nil {
			return nil
		}
		root, _, _ := strings.Cut(m[1], ".")
		advice := nameHabit(root)
		if advice == "" {
			advice = fmt.Sprintf("Write ${%s}.", m[1])
		}
		d := fault(literal.Range(), fmt.Sprintf("%s stays as it is", m[0]), "Nothing replaces it: in strings, expressions are written ${…}. "+advice)
		d.Severity = hcl.DiagWarning
		l.report(d)
		return nil
	})
}
