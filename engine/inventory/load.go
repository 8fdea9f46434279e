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
	"hlplay/engine/secret"
)

// source is the text of one inventory file.
type source struct {
	name string
	text []byte
}

// Load reads an inventory: an HCL file, the .hcl files of a directory in the order of their names, or an Ansible
// inventory in INI or YAML, or a program, which is run. Several paths are parts of one inventory, like the files of a
// directory: each host, each group and the defaults are declared in one part only. Load reports all errors at once. The
// returned inventory is never nil and always has Files, so that diagnostics can show the source, but it is complete
// only if there are no errors.
//
// A host inherits settings with this precedence, from lowest to highest:
//
//  1. the `defaults` block
//  2. group "all"
//  3. the other groups, from parents to children (a group's depth is its longest way down from a group
//     without parents), groups of the same depth in the order of the source
//  4. the host's own block
//
// The precedence applies to each attribute, to each variable, and to each part of `rehearsal`; the disks of a block are
// one part. A null attribute counts as not set.
func Load(paths ...string) (*Inventory, hcl.Diagnostics) { return LoadWith(nil, paths...) }

// LoadWith is like Load, with the keys that decrypt secrets in variables. Without keys, secrets are unknown values.
func LoadWith(keys *secret.Keyring, paths ...string) (*Inventory, hcl.Diagnostics) {
	return (&declarations{decoder: decoder{secrets: keys}}).load(paths)
}

// LoadStatic is like LoadWith but does not run programs, whose hosts are then missing.
func LoadStatic(keys *secret.Keyring, paths ...string) (*Inventory, hcl.Diagnostics) {
	return (&declarations{decoder: decoder{secrets: keys}, static: true}).load(paths)
}

// LoadUnsaved is like LoadStatic, with texts to use instead of the content of HCL files, by path: those that an editor
// has changed and not saved.
func LoadUnsaved(keys *secret.Keyring, unsaved map[string][]byte, paths ...string) (*Inventory, hcl.Diagnostics) {
	return (&declarations{decoder: decoder{secrets: keys}, static: true, unsaved: unsaved}).load(paths)
}

func (d *declarations) load(paths []string) (*Inventory, hcl.Diagnostics) {
	var sources []source
	var ansibles []string
	var diags hcl.Diagnostics
	for _, path := range paths {
		files, found := ansibleFiles(path)
		if diags = append(diags, found...); files != nil || found.HasErrors() {
			ansibles = append(ansibles, files...)
			continue
		}
		more, found := d.read(path)
		diags = append(diags, found...)
		sources = append(sources, more...)
	}
	path := strings.Join(paths, ", ")
	if diag := readTwice(sources); diag != nil {
		diags = append(diags, diag)
	}
	if diags.HasErrors() {
		return &Inventory{Path: path, Files: map[string]*hcl.File{}}, diags
	}
	inv, more := d.parse(path, sources, ansibles)
	return inv, append(diags, more...)
}

// readTwice reports a file that is named more than once and would declare everything twice.
func readTwice(sources []source) *hcl.Diagnostic {
	seen := make(map[string]string, len(sources))
	for _, s := range sources {
		file, err := filepath.EvalSymlinks(s.name)
		if err == nil {
			file, err = filepath.Abs(file)
		}
		if err != nil { // the file has been read, so the error does not matter
			continue
		}
		if earlier, ok := seen[file]; ok {
			return &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Inventory named twice",
				Detail: fmt.Sprintf("%s and %s are the same file; name it once, or its directory.", earlier, s.name),
			}
		}
		seen[file] = s.name
	}
	return nil
}

// read reads a file, or the inventory files of a directory.
func (d *declarations) read(path string) ([]source, hcl.Diagnostics) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, hcl.Diagnostics{unreadable(path, err)}
	}
	if !info.IsDir() {
		text, err := d.text(path)
		if err != nil {
			return nil, hcl.Diagnostics{unreadable(path, err)}
		}
		return []source{{path, text}}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, hcl.Diagnostics{unreadable(path, err)}
	}
	var sources []source
	var others []fs.DirEntry
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if filepath.Ext(name) != ".hcl" {
			others = append(others, entry)
			continue
		}
		file := filepath.Join(path, name)
		info, err := os.Stat(file) // follows links, unlike the entry
		if err != nil {
			return nil, hcl.Diagnostics{unreadable(file, err)}
		}
		if info.IsDir() {
			others = append(others, entry)
			continue
		}
		text, err := d.text(file)
		if err != nil {
			return nil, hcl.Diagnostics{unreadable(file, err)}
		}
		sources = append(sources, source{file, text})
	}
	if len(sources) == 0 {
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "No inventory in the directory",
			Detail: fmt.Sprintf("The directory %s has no file whose name ends in .hcl.", path),
		}}
	}
	return sources, ignored(path, others)
}

func (d *declarations) text(path string) ([]byte, error) {
	if text, ok := d.unsaved[path]; ok {
		return text, nil
	}
	return hclfile.Read(path)
}

// ignored warns about the entries of a directory that are not read, except those that are obviously not inventories.
func ignored(path string, others []fs.DirEntry) hcl.Diagnostics {
	var names []string
	for _, entry := range others {
		switch name := entry.Name(); {
		case entry.IsDir():
			names = append(names, name+"/")
		case filepath.Ext(name) == ".md", strings.HasSuffix(name, "~"):
		default:
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return hcl.Diagnostics{{
		Severity: hcl.DiagWarning, Summary: "Not all of the inventory directory is read",
		Detail: fmt.Sprintf("In a directory, hlplay reads only files whose names end in .hcl; %s also contains %s.", path, strings.Join(names, ", ")),
	}}
}

func unreadable(path string, err error) *hcl.Diagnostic {
	diag := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Inventory cannot be read"}
	switch {
	case errors.Is(err, fs.ErrNotExist) && path == "":
		diag.Detail = "No inventory was given: name a file or a directory of .hcl files with -i."
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(path, ","):
		diag.Detail = fmt.Sprintf("There is no file or directory %s. -i names one inventory; repeat it for several. Hosts are declared in the inventory, not on the command line.", path)
	case errors.Is(err, fs.ErrNotExist):
		diag.Detail = fmt.Sprintf("There is no file or directory %s; -i names the inventory.", path)
	case errors.Is(err, fs.ErrPermission):
		diag.Detail = fmt.Sprintf("Reading %s is not permitted.", path)
	default:
		diag.Detail = err.Error()
	}
	return diag
}

// parse parses the sources of an inventory.
func (d *declarations) parse(path string, sources []source, ansibles []string) (*Inventory, hcl.Diagnostics) {
	inv := &Inventory{Path: path, Files: map[string]*hcl.File{}, Answers: map[string][]byte{}}
	for _, source := range sources {
		file, diags := hclfile.Parse(source.text, source.name)
		d.diags = append(d.diags, diags...)
		inv.Files[source.name] = file
		if !diags.HasErrors() {
			d.file(file)
		}
	}
	if len(ansibles) > 0 {
		d.ansible(inv, ansibles)
	}
	if !d.diags.HasErrors() {
		d.resolve(inv)
	}
	return inv, d.diags
}
