// Package ansible reads Ansible inventories as Ansible does: INI and YAML files, ranges of names, group_vars and
// host_vars, and the output of inventory programs.
package ansible

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// Inventory is the content of inventory files.
type Inventory struct {
	// Hosts and Groups are in the order of the source. Groups does not contain "all" and "ungrouped".
	Hosts  []*Host
	Groups []*Group
	// All holds the variables of the group "all" itself.
	All map[string]cty.Value

	all map[string]cty.Value // those set in inventory files
}

// Host is a host of an inventory.
type Host struct {
	Name string
	// Vars holds all variables of the host, including those of its groups, resolved by Ansible's precedence.
	Vars map[string]cty.Value
	own  map[string]cty.Value
	// File and Line are the position at which the host is first named.
	File string
	Line int
}

// Group is a group of an inventory.
type Group struct {
	Name            string
	Hosts, Children []string
	// Vars holds the variables of the group itself.
	Vars map[string]cty.Value
	File string
	Line int

	own map[string]cty.Value // those set in inventory files
}

// Error is an error in a file.
type Error struct {
	File    string
	Line    int // zero for the file as a whole
	Problem string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// Opener decrypts a value encrypted with ansible-vault. The value it returns is marked.
type Opener func(sealed []byte) (cty.Value, error)

// ignored lists suffixes of the files that Ansible does not read in an inventory directory.
var ignored = []string{".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"}

// Ignored reports whether Ansible ignores a file of that name in an inventory directory.
func Ignored(name string) bool {
	return strings.HasPrefix(name, ".") || slices.ContainsFunc(ignored, func(end string) bool { return strings.HasSuffix(name, end) })
}

// Load reads inventory files, and the group_vars and host_vars next to each of them. Files are read with read, except
// those that run reports to be programs.
func Load(files []string, read func(string) ([]byte, error), run Runner, open Opener) (*Inventory, error) {
	inv := &Inventory{all: map[string]cty.Value{}}
	var dirs []string
	for _, file := range files {
		if err := inv.load(file, read, run, open); err != nil {
			return nil, err
		}
		if dir := filepath.Dir(file); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return inv, inv.settle(dirs, read, open)
}

func (inv *Inventory) load(file string, read func(string) ([]byte, error), run Runner, open Opener) error {
	text, program, err := run(file, "--list")
	switch {
	case err != nil:
		return err
	case program:
		return inv.answer(file, text, func(name string) ([]byte, error) {
			text, _, err := run(file, "--host", name)
			return text, err
		}, open)
	}
	if text, err = read(file); err != nil {
		return err
	}
	if isYAML(file, text) {
		return inv.yaml(file, text, open)
	}
	return inv.ini(file, string(text))
}

// isYAML reports whether a file is YAML, judging by its name or its beginning.
func isYAML(file string, text []byte) bool {
	switch filepath.Ext(file) {
	case ".yml", ".yaml", ".json":
		return true
	case "":
		return strings.HasPrefix(string(text), "---")
	}
	return false
}

func (inv *Inventory) host(name, file string, line int) *Host {
	for _, h := range inv.Hosts {
		if h.Name == name {
			return h
		}
	}
	h := &Host{Name: name, own: map[string]cty.Value{}, File: file, Line: line}
	inv.Hosts = append(inv.Hosts, h)
	return h
}

func (inv *Inventory) group(name, file string, line int) *Group {
	for _, g := range inv.Groups {
		if g.Name == name {
			return g
		}
	}
	g := &Group{Name: name, own: map[string]cty.Value{}, File: file, Line: line}
	inv.Groups = append(inv.Groups, g)
	return g
}

// implicit reports whether the group exists in every inventory.
func implicit(name string) bool { return name == "all" || name == "ungrouped" }

// put adds a host to a group.
func (inv *Inventory) put(host, group, file string, line int) {
	if implicit(group) {
		return
	}
	if g := inv.group(group, file, line); !slices.Contains(g.Hosts, host) {
		g.Hosts = append(g.Hosts, host)
	}
}

// nest adds a group to another group.
func (inv *Inventory) nest(child, parent, file string, line int) {
	if implicit(child) {
		return
	}
	inv.group(child, file, line)
	if implicit(parent) {
		return
	}
	if g := inv.group(parent, file, line); !slices.Contains(g.Children, child) {
		g.Children = append(g.Children, child)
	}
}

// settle computes the variables of hosts. In order of increasing precedence these are: the variables of "all" and of
// groups in inventory files, parents before children; group_vars/all and the other group_vars; the host's own
// variables in inventory files; and host_vars.
func (inv *Inventory) settle(dirs []string, read func(string) ([]byte, error), open Opener) error {
	vars := func(kind, name string) (map[string]cty.Value, error) {
		all := map[string]cty.Value{}
		for _, dir := range dirs {
			more, err := varsOf(filepath.Join(dir, kind), name, read, open)
			if err != nil {
				return nil, err
			}
			merge(all, more)
		}
		return all, nil
	}
	depth := inv.depths()
	ordered := slices.Clone(inv.Groups)
	slices.SortStableFunc(ordered, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(depth[a.Name], depth[b.Name]), cmp.Compare(a.Name, b.Name))
	})
	allVars, err := vars("group_vars", "all")
	if err != nil {
		return err
	}
	inv.All = map[string]cty.Value{}
	merge(inv.All, inv.all, allVars)
	files := map[string]map[string]cty.Value{}
	for _, g := range inv.Groups {
		if files[g.Name], err = vars("group_vars", g.Name); err != nil {
			return err
		}
		g.Vars = map[string]cty.Value{}
		merge(g.Vars, g.own, files[g.Name])
	}
	ungrouped, err := vars("group_vars", "ungrouped")
	if err != nil {
		return err
	}
	for _, h := range inv.Hosts {
		h.Vars = map[string]cty.Value{}
		merge(h.Vars, inv.all)
		var of []*Group
		for _, g := range ordered {
			if inv.has(g, h.Name, 0) {
				of = append(of, g)
			}
		}
		for _, g := range of {
			merge(h.Vars, g.own)
		}
		merge(h.Vars, allVars)
		if len(of) == 0 {
			merge(h.Vars, ungrouped)
		}
		for _, g := range of {
			merge(h.Vars, files[g.Name])
		}
		own, err := vars("host_vars", h.Name)
		if err != nil {
			return err
		}
		merge(h.Vars, h.own, own)
	}
	return nil
}

func merge(into map[string]cty.Value, more ...map[string]cty.Value) {
	for _, vars := range more {
		for name, v := range vars {
			into[name] = v
		}
	}
}

// has reports whether a host is in a group or in one of its descendants.
func (inv *Inventory) has(g *Group, host string, depth int) bool {
	if slices.Contains(g.Hosts, host) {
		return true
	}
	for _, child := range g.Children {
		if depth < len(inv.Groups) && inv.has(inv.group(child, "", 0), host, depth+1) {
			return true
		}
	}
	return false
}

// depths returns the length of the longest path to each group from a group without parents. It terminates even if
// groups form a loop, which is reported elsewhere.
func (inv *Inventory) depths() map[string]int {
	depth := map[string]int{}
	for range inv.Groups {
		for _, g := range inv.Groups {
			for _, child := range g.Children {
				depth[child] = min(max(depth[child], depth[g.Name]+1), len(inv.Groups))
			}
		}
	}
	return depth
}

// varsOf reads the first that exists of DIR/NAME, DIR/NAME.yml, .yaml and .json. If it is a directory, all files below
// it are read.
func varsOf(dir, name string, read func(string) ([]byte, error), open Opener) (map[string]cty.Value, error) {
	all := map[string]cty.Value{}
	base := filepath.Join(dir, name)
	for _, end := range []string{"", ".yml", ".yaml", ".json"} {
		info, err := os.Stat(base + end)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil { // something that cannot be examined may contain variables
			return nil, err
		}
		var files []string
		if info.IsDir() {
			err = filepath.WalkDir(base+end, func(file string, entry os.DirEntry, err error) error {
				ext := filepath.Ext(file)
				if err == nil && !entry.IsDir() && !Ignored(entry.Name()) && slices.Contains([]string{"", ".yml", ".yaml", ".json"}, ext) {
					files = append(files, file)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		} else {
			files = []string{base + end}
		}
		for _, file := range files {
			text, err := read(file)
			if err != nil {
				return nil, err
			}
			vars, err := varsFile(file, text, open)
			if err != nil {
				return nil, err
			}
			merge(all, vars)
		}
		break // Ansible uses only the first
	}
	return all, nil
}
