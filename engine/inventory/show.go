package inventory

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"charm.land/lipgloss/v2/tree"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Tree prints groups and hosts as a tree, with addresses and variables. A host is listed under its innermost groups,
// without the variables that its groups already show with the same value.
func (inv *Inventory) Tree(w io.Writer) error {
	all := inv.Group(groupAll)
	if all == nil {
		return fmt.Errorf("the inventory %s was not loaded", inv.Path)
	}
	root := tree.Root(label(groupAll, inv.shown(all.Vars)))
	child := map[string]bool{}
	for _, group := range inv.Groups {
		for _, name := range group.Children {
			child[name] = true
		}
	}
	for _, group := range inv.Groups {
		if group.Name != groupAll && !child[group.Name] && (group.Name != groupUngrouped || len(group.Hosts) > 0) {
			root.Child(inv.branch(group))
		}
	}
	for line := range strings.Lines(root.String() + "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return fmt.Errorf("printing the inventory: %w", err)
		}
	}
	return nil
}

func (inv *Inventory) branch(group *Group) *tree.Tree {
	branch := tree.Root(label(group.Name, inv.shown(group.Vars)))
	for _, name := range group.Children {
		if below := inv.Group(name); below != nil {
			branch.Child(inv.branch(below))
		}
	}
	for _, name := range inv.direct(group) {
		host := inv.Host(name)
		branch.Child(label(host.Name+"  "+host.where(), inv.shown(inv.own(host))))
	}
	return branch
}

// where returns the host's address, and how to connect to the host if that differs.
func (h *Host) where() string {
	if h.Connection == "local" {
		return "(this machine)"
	}
	s := h.Address
	reached := h.SSHAddress
	if h.Port != 0 {
		reached = fmt.Sprintf("%s port %d", reached, h.Port)
	}
	if reached = strings.TrimSpace(reached); reached != "" {
		s += " (ssh: " + reached + ")"
	}
	return s
}

// label returns the text of a node: a heading, then one line per variable.
func label(heading string, vars map[string]cty.Value) string {
	var b strings.Builder
	b.WriteString(heading)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		value := hclwrite.Format(hclwrite.TokensForValue(vars[name]).Bytes())
		for i, line := range strings.Split(string(value), "\n") {
			if i == 0 {
				line = name + " = " + line
			}
			b.WriteString("\n  " + line)
		}
	}
	return b.String()
}

type hostJSON struct {
	Address    string                     `json:"address"`
	SSHAddress string                     `json:"ssh_address,omitempty"`
	Port       int                        `json:"port,omitempty"`
	User       string                     `json:"user,omitempty"`
	Keys       []string                   `json:"keys,omitempty"`
	KnownHosts string                     `json:"known_hosts,omitempty"`
	Forwards   map[int]string             `json:"forwards,omitempty"`
	Connection string                     `json:"connection"`
	Become     bool                       `json:"become"`
	BecomeUser string                     `json:"become_user,omitempty"`
	Groups     []string                   `json:"groups"`
	Vars       map[string]json.RawMessage `json:"vars"`
}

type groupJSON struct {
	Hosts    []string                   `json:"hosts"`
	Children []string                   `json:"children"`
	Vars     map[string]json.RawMessage `json:"vars"`
}

// JSON returns the inventory as an object with "hosts" and "groups", both by name. The values of hosts are the effective ones. Lists
// of hosts are in the inventory's order.
func (inv *Inventory) JSON() ([]byte, error) {
	hosts, groups := map[string]hostJSON{}, map[string]groupJSON{}
	for _, host := range inv.Hosts {
		vars, err := jsonVars(inv.shown(host.Vars))
		if err != nil {
			return nil, fmt.Errorf("host %s: %w", host.Name, err)
		}
		hosts[host.Name] = hostJSON{
			host.Address, host.SSHAddress, host.Port, host.User, host.Keys, host.KnownHosts, host.Forwards,
			host.Connection, host.Become, host.BecomeUser, host.Groups, vars,
		}
	}
	for _, group := range inv.Groups {
		vars, err := jsonVars(inv.shown(group.Vars))
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", group.Name, err)
		}
		groups[group.Name] = groupJSON{group.hostNames(), append([]string{}, group.Children...), vars}
	}
	return json.MarshalIndent(map[string]any{"hosts": hosts, "groups": groups}, "", "  ")
}

func jsonVars(vars map[string]cty.Value) (map[string]json.RawMessage, error) {
	encoded := make(map[string]json.RawMessage, len(vars))
	for name, value := range vars {
		text, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		encoded[name] = text
	}
	return encoded, nil
}
