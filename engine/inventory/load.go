package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"hlplay/engine/hclfile"
)

// source is the text of one inventory file.
type source struct {
	name string
	text []byte
}

// Load reads an inventory: one HCL file, or all files of a directory whose names end in .hcl, in the
// order of their names. It reports everything that is wrong at once. The inventory it returns is never nil
// and always has Files, so that diagnostics can show the source; it is complete only without errors.
//
// What a host is given by several blocks has this precedence, the last one wins:
//
//  1. the `defaults` block
//  2. group "all"
//  3. the other groups, from parents to children (a group's depth is its longest way down from a group
//     without parents), groups of the same depth in the order of the source
//  4. the host's own block
//
// This holds for each attribute, for each variable by its name, and for each part of `rehearsal` (the disks
// of a block being one part). An attribute that is null is as if not given.
func Load(path string) (*Inventory, hcl.Diagnostics) {
	sources, diag := read(path)
	if diag != nil {
		return &Inventory{Path: path, Files: map[string]*hcl.File{}}, hcl.Diagnostics{diag}
	}
	return parse(path, sources)
}

// read reads the files that a path means.
func read(path string) ([]source, *hcl.Diagnostic) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		switch ext := filepath.Ext(path); ext {
		case ".ini", ".yaml", ".yml", ".json":
			return nil, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Not an inventory in HCL",
				Detail: fmt.Sprintf("%s ends in %s; hlplay reads inventories in HCL: host \"name\" { address = \"…\" }.", path, ext),
			}
		}
		text, err := hclfile.Read(path)
		if err != nil {
			return nil, unreadable(path, err)
		}
		return []source{{path, text}}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var sources []source
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || filepath.Ext(name) != ".hcl" {
			continue
		}
		file := filepath.Join(path, name)
		info, err := os.Stat(file) // follows links, unlike the entry
		if err != nil {
			return nil, unreadable(file, err)
		}
		if info.IsDir() {
			continue
		}
		text, err := hclfile.Read(file)
		if err != nil {
			return nil, unreadable(file, err)
		}
		sources = append(sources, source{file, text})
	}
	if len(sources) == 0 {
		return nil, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "No inventory in the directory",
			Detail: fmt.Sprintf("The directory %s has no file whose name ends in .hcl.", path),
		}
	}
	return sources, nil
}

func unreadable(path string, err error) *hcl.Diagnostic {
	diag := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Inventory cannot be read"}
	switch {
	case errors.Is(err, fs.ErrNotExist) && path == "":
		diag.Detail = "No inventory is given; name a file or a directory of .hcl files with -i."
	case errors.Is(err, fs.ErrNotExist):
		diag.Detail = fmt.Sprintf("There is no file or directory %s; -i names the inventory.", path)
	case errors.Is(err, fs.ErrPermission):
		diag.Detail = fmt.Sprintf("Reading %s is not permitted.", path)
	default:
		diag.Detail = err.Error()
	}
	return diag
}

// parse makes an inventory of its sources.
func parse(path string, sources []source) (*Inventory, hcl.Diagnostics) {
	inv := &Inventory{Path: path, Files: map[string]*hcl.File{}}
	d := &declarations{}
	for _, source := range sources {
		file, diags := hclfile.Parse(source.text, source.name)
		d.diags = append(d.diags, diags...)
		inv.Files[source.name] = file
		if !diags.HasErrors() {
			d.file(file)
		}
	}
	if !d.diags.HasErrors() {
		d.resolve(inv)
	}
	return inv, d.diags
}
