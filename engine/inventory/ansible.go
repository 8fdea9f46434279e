package inventory

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/ansible"
	"hlplay/engine/hclfile"
)

// hclBlock matches the first line of a block in an HCL inventory.
var hclBlock = regexp.MustCompile(`(?m)^\s*(defaults|group|host|host_variable)\b[^\[=]*\{`)

// ansibleFiles returns the files of an Ansible inventory at a path. It returns none if the path is an HCL inventory or does not exist.
func ansibleFiles(path string) ([]string, hcl.Diagnostics) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil // read reports the error
	}
	if !info.IsDir() {
		if !ofAnsible(path) {
			return nil, nil
		}
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil
	}
	var files, others []string
	for _, entry := range entries {
		name := entry.Name()
		file := filepath.Join(path, name)
		info, err := os.Stat(file)
		switch {
		case err == nil && !info.IsDir() && filepath.Ext(name) == ".hcl" && !strings.HasPrefix(name, "."):
			return nil, nil
		case ansible.Ignored(name):
		case err != nil: // reading it reports the reason
			files = append(files, file)
		case info.IsDir() && (name == "group_vars" || name == "host_vars"):
		case info.IsDir():
			others = append(others, name+"/")
		default:
			files = append(files, file)
		}
	}
	if len(files) == 0 || len(others) == 0 {
		return files, nil
	}
	return files, hcl.Diagnostics{{
		Severity: hcl.DiagWarning, Summary: "Not all of the inventory directory is read",
		Detail: fmt.Sprintf("Below %s, only the directories group_vars and host_vars are read, not %s: pass it with another -i.", path, strings.Join(others, ", ")),
	}}
}

// ofAnsible reports whether a file is an Ansible inventory, judging by its name or its content.
func ofAnsible(path string) bool {
	switch filepath.Ext(path) {
	case ".ini", ".yaml", ".yml", ".json":
		return true
	case ".hcl":
		return false
	}
	if isProgram(path) {
		return true
	}
	src, err := hclfile.Read(path)
	return err == nil && len(src) > 0 && !hclBlock.Match(src) && hclfile.Check(src, path) == nil
}

// ansible declares the hosts, groups and variables of Ansible inventories.
func (d *declarations) ansible(inv *Inventory, files []string) {
	read := func(path string) ([]byte, error) {
		src, err := hclfile.Read(path)
		if err == nil {
			inv.Files[path] = &hcl.File{Bytes: src}
		}
		return src, err
	}
	programs := &programs{inv: inv}
	run := programs.run
	if d.static {
		run = func(path string, _ ...string) ([]byte, bool, error) {
			program := isProgram(path)
			inv.Partial = inv.Partial || program
			return []byte("{}"), program, nil
		}
	}
	found, err := ansible.Load(files, read, run, func(sealed []byte) (cty.Value, error) { return d.secrets.Value("the value", sealed) })
	for _, words := range programs.said {
		d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Message from the inventory program", Detail: words})
	}
	if err != nil {
		d.ansibleError(err, files)
		return
	}
	if len(found.All) > 0 {
		d.groups = append(d.groups, &groupDecl{name: groupAll, settings: settings{vars: found.All}})
	}
	for _, g := range found.Groups {
		at := lineRange(g.File, g.Line)
		decl := &groupDecl{name: g.Name, at: at, settings: settings{vars: g.Vars}}
		for _, host := range g.Hosts {
			decl.hosts = append(decl.hosts, member{host, at})
		}
		for _, child := range g.Children {
			decl.children = append(decl.children, member{child, at})
		}
		if slices.ContainsFunc(d.groups, func(o *groupDecl) bool { return o.name == g.Name }) {
			d.errorf(at, "Duplicate group", "The HCL inventory also has a group %q.", g.Name)
			continue
		}
		d.groups = append(d.groups, decl)
	}
	unused := map[string]bool{}
	for _, h := range found.Hosts {
		at := lineRange(h.File, h.Line)
		switch {
		case !hostName.MatchString(h.Name):
			d.errorf(at, "Invalid host name", "%q is not a host name. Host names consist of letters, digits, \".\", \"_\" and \"-\", and begin with a letter, a digit or \"_\".", h.Name)
			continue
		case slices.ContainsFunc(d.hosts, func(o *hostDecl) bool { return o.name == h.Name }):
			d.errorf(at, "Duplicate host", "The HCL inventory also has a host %q.", h.Name)
			continue
		}
		decl := &hostDecl{name: h.Name, at: at}
		decl.vars, decl.varsAt = h.Vars, map[string]hcl.Range{}
		for name := range h.Vars {
			decl.varsAt[name] = at
		}
		d.connection(decl, h, unused)
		d.hosts = append(d.hosts, decl)
	}
	if len(unused) > 0 {
		d.diags = append(d.diags, &hcl.Diagnostic{
			Severity: hcl.DiagWarning, Summary: "Some Ansible variables are not used",
			Detail: fmt.Sprintf("They only become variables of the hosts: %s. Settings of SSH, such as ProxyJump, belong in ~/.ssh/config; for passwords, use --ask-pass and --ask-become-pass.",
				strings.Join(slices.Sorted(maps.Keys(unused)), ", ")),
		})
	}
}

func lineRange(file string, line int) hcl.Range {
	pos := hcl.Pos{Line: max(line, 1), Column: 1}
	return hcl.Range{Filename: file, Start: pos, End: pos}
}

// ansibleError reports the error that made reading fail. It does not show lines of variable files, which may contain
// passwords.
func (d *declarations) ansibleError(err error, files []string) {
	diag := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "The Ansible inventory cannot be read", Detail: err.Error()}
	var at *ansible.Error
	if errors.As(err, &at) && at.Line > 0 && slices.Contains(files, at.File) {
		diag.Detail, diag.Subject = at.Problem, lineRange(at.File, at.Line).Ptr()
	}
	d.diags = append(d.diags, diag)
}

// quiet are the Ansible variables that hlplay ignores without a warning, because they do not matter here.
var quiet = []string{"ansible_python_interpreter", "ansible_become_method", "ansible_shell_type"}

// connection translates Ansible's connection settings of a host.
func (d *declarations) connection(decl *hostDecl, h *ansible.Host, unused map[string]bool) {
	text := func(name string, value cty.Value) *string {
		if value.IsMarked() || !value.IsKnown() || value.IsNull() {
			d.errorf(decl.at, "Unusable variable", "%s of %s is null or encrypted; hlplay needs a plain value.", name, h.Name)
			return nil
		}
		s, err := convert.Convert(value, cty.String)
		if err != nil || strings.Contains(s.AsString(), "{{") {
			d.errorf(decl.at, "Unusable variable", "%s of %s is not a plain value. hlplay does not evaluate templates in Ansible inventories.", name, h.Name)
			return nil
		}
		plain := s.AsString()
		return &plain
	}
	for _, name := range slices.Sorted(maps.Keys(h.Vars)) {
		value := h.Vars[name]
		switch name {
		case "ansible_host", "ansible_ssh_host":
			decl.address = text(name, value)
		case "ansible_port", "ansible_ssh_port":
			if s := text(name, value); s != nil {
				port, err := strconv.Atoi(*s)
				if err != nil || port < 1 || port > 65535 {
					d.errorf(decl.at, "Wrong port", "%s of %s must be a number from 1 to 65535, not %q.", name, h.Name, *s)
					continue
				}
				decl.port = &port
			}
		case "ansible_user", "ansible_ssh_user":
			decl.user = text(name, value)
		case "ansible_ssh_private_key_file", "ansible_private_key_file":
			if s := text(name, value); s != nil {
				decl.keys = &[]string{expandPath(*s, decl.at.Filename)}
			}
		case "ansible_become":
			if s := text(name, value); s != nil {
				become := slices.Contains([]string{"true", "yes", "on", "1", "y", "t"}, strings.ToLower(*s))
				decl.become = &become
			}
		case "ansible_become_user":
			decl.becomeUser = text(name, value)
		case "ansible_connection":
			if s := text(name, value); s != nil {
				switch kind := *s; kind {
				case "ssh", "smart", "paramiko", "paramiko_ssh", "local":
					if kind != "local" {
						kind = "ssh"
					}
					decl.connection = &kind
				default:
					d.errorf(decl.at, "Unknown connection", "ansible_connection of %s is %q; hlplay supports ssh and local.", h.Name, kind)
				}
			}
		default:
			if strings.HasPrefix(name, "ansible_") && !slices.Contains(quiet, name) {
				unused[name] = true
			}
		}
	}
}
