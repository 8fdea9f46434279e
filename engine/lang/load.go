package lang

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/engine/hclfile"
	"hlplay/engine/hostvar"
	"hlplay/engine/roles"
	"hlplay/engine/secret"
	"hlplay/modules"
)

// Options are the inputs of Load other than the sources.
type Options struct {
	// Modules are the modules that tasks may use.
	Modules []modules.Spec
	// Values are values of variables as given on a command line (`-e name=value`): text for a variable of a primitive
	// type or without a type, an HCL expression for any other. Values takes precedence over Inline, Inline over
	// ValueFiles, ValueFiles over Environment, and Environment over defaults.
	Values map[string]string
	// Inline holds objects of values, in JSON or HCL; see InlineValues. Later objects override earlier ones.
	Inline []string
	// ValueFiles lists files of values (`-e @file`): JSON or YAML according to their extension, else HCL attributes.
	// Later files override earlier ones.
	ValueFiles []string
	// IgnoreUndeclared ignores values in ValueFiles for variables that the playbook does not declare, as in a file that
	// several playbooks share. Without it such a value is an error; with it, a name much like a declared one is a warning.
	IgnoreUndeclared bool
	// Environment holds values in the form of Values, by name without EnvironmentPrefix. Undeclared names are ignored.
	Environment map[string]string
	// Inventory contains the hosts that the playbook is checked for. If it is nil, patterns of hosts, `hosts["name"]`,
	// `groups.NAME` and whatever depends on a host are not checked.
	Inventory Inventory
	// Limit is a host pattern: what depends on a host is checked only for the hosts that match; empty means all. Tags
	// and SkipTags select tasks in the same way.
	Limit          string
	Tags, SkipTags []string
	// Facts maps the names of facts, which expressions see as facts.NAME, to their types. If it is nil, references to
	// `facts` are not checked.
	Facts map[string]cty.Type
	// Secrets decrypts the arguments of secret() and secret_file(). If it is nil, secrets are unknown values.
	Secrets *secret.Keyring
	// Roles locates roles that are imported by their address. If it is nil, there are none.
	Roles Roles
	// Unsaved holds texts to use instead of the content of files, by path: those that an editor has changed and not
	// saved.
	Unsaved map[string][]byte
}

// Inventory is the part of an inventory that Load uses.
type Inventory interface {
	// Names returns the hosts that match a pattern, in the inventory's order, or an error if the pattern is wrong.
	Names(pattern string) ([]string, error)
	// HostsValue and GroupsValue return what expressions see as `hosts` and `groups`.
	HostsValue() cty.Value
	GroupsValue() cty.Value
	// Declare applies the playbook's declarations to the variables of hosts, and reports what is wrong with them.
	Declare(declarations []hostvar.Declaration, evaluate hostvar.Evaluate) hcl.Diagnostics
}

// Load reads a playbook with everything that it imports, and checks whatever can be checked without a host. It reports
// as many errors as it can find, in source order. The playbook is never nil, so that its Files can show the lines of
// the diagnostics, but it must not be used for anything else if these contain an error.
func Load(path string, o Options) (*Playbook, hcl.Diagnostics) {
	return load(path, o, hclfile.Read)
}

// LoadSource is like Load for a playbook that is not in a file; diagnostics use name as its file name. Imports and
// files are relative to the directory of name.
func LoadSource(name string, src []byte, o Options) (*Playbook, hcl.Diagnostics) {
	name = filepath.Clean(name)
	return load(name, o, func(path string) ([]byte, error) {
		if path == name {
			return src, nil
		}
		return hclfile.Read(path)
	})
}

func load(path string, o Options, read reader) (*Playbook, hcl.Diagnostics) {
	l := newLoader(path, o, read)
	l.load(path)
	return l.playbook, arrange(l.diags, l.order)
}

func newLoader(path string, o Options, read reader) *loader {
	if saved := read; len(o.Unsaved) > 0 {
		read = func(path string) ([]byte, error) {
			if text, ok := o.Unsaved[path]; ok {
				return text, nil
			}
			return saved(path)
		}
	}
	pb := &Playbook{
		Path:  path,
		Files: make(map[string]*hcl.File),
		space: newNamespace(make(map[string]map[string]function.Function)),
		sums:  sums{of: make(map[string][sha256.Size]byte)},
	}
	read = pb.sums.noting(read)
	return &loader{
		options:  o,
		read:     read,
		playbook: pb,
		space:    pb.space,
		files:    newFiles(read, o.Modules, o.Secrets),
		modules:  make(map[string]modules.Spec, len(o.Modules)),
		schemas:  make(map[string]*ModuleSchema),
		sources:  make(map[string]*source),
		bodies:   make(map[string]*hclsyntax.Body),
		fetched:  make(map[roles.Address]repository),
	}
}

// loader holds the state while a playbook is being read.
type loader struct {
	options  Options
	read     reader
	files    *files
	playbook *Playbook
	diags    hcl.Diagnostics
	modules  map[string]modules.Spec
	schemas  map[string]*ModuleSchema // of the modules that the playbook uses: see schema

	// sources holds the files read, by path; order is the order in which they were read.
	sources map[string]*source
	order   []string

	// bodies holds the contents of role files by path; nil for a file with errors.
	bodies map[string]*hclsyntax.Body

	// fetched holds the repositories of roles, by their address without a path.
	fetched map[roles.Address]repository

	// space is the namespace of the file being read.
	space  *namespace
	held   int  // bytes of text in all locals
	locked bool // a file of values is encrypted, so its values are unknown
	plays  []playBlock

	// hostVariables holds the blocks that declare Playbook.HostVariables, in the same order.
	hostVariables []playBlock
}

func (l *loader) load(path string) {
	for _, spec := range l.options.Modules {
		l.modules[spec.Name] = spec
	}
	l.include(filepath.Clean(path), nil, nil, nil)
	if l.diags.HasErrors() && l.broken() {
		return
	}
	l.resolveVariables()
	l.resolveLocals()
	for i, pb := range l.plays {
		l.plays[i].hosts = l.hosts(pb.block, pb.dir)
	}
	l.declareHostVariables()
	names := make(map[string]hcl.Range)
	for _, pb := range l.plays {
		l.play(pb, names)
	}
	l.validate()
}

// broken reports whether a source could not be read or parsed. Most problems found in other sources would be
// consequences of that.
func (l *loader) broken() bool {
	for _, s := range l.sources {
		if s.broken {
			return true
		}
	}
	return false
}

func (l *loader) report(diags ...*hcl.Diagnostic) {
	l.diags = append(l.diags, diags...)
}

// parse reads an HCL file. If it cannot be read, the diagnostic is at from, or at the beginning of the file if nothing
// refers to it.
func (l *loader) parse(path string, from *hcl.Range) (*hclsyntax.Body, bool) {
	src, ok := l.readFile(path, from)
	if !ok {
		return nil, false
	}
	file, diags := hclfile.Parse(src, path)
	l.report(diags...)
	l.playbook.Files[path] = file
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok || diags.HasErrors() {
		return nil, false
	}
	meter(body)
	watchPeers(body)
	l.shortLiterals(body)
	l.report(l.options.Secrets.Unopened(body, filepath.Dir(path), l.read)...)
	return body, true
}

func (l *loader) readFile(path string, from *hcl.Range) ([]byte, bool) {
	at := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	if from != nil {
		at = *from
	}
	src, err := l.read(path)
	if err != nil {
		problem := readProblem(err)
		if from == nil { // the user named the file
			problem = strings.Replace(problem, relative, "", 1)
		}
		l.report(fault(at, fmt.Sprintf("cannot read %s", path), sentence(problem)))
		return nil, false
	}
	if _, ok := l.playbook.Files[path]; !ok {
		l.playbook.Files[path] = &hcl.File{Bytes: src}
	}
	l.order = append(l.order, path)
	return src, true
}

// relative is an explanation for a path that is used in a file.
const relative = ", which is relative to the directory of the file that names it"

// readProblem returns why a file could not be read, and what to do.
func readProblem(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file; check the path" + relative
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read it; check its permissions"
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		if errors.Is(err, syscall.EISDIR) {
			return "it is a directory; name a file in it"
		}
		err = path.Err
	}
	return err.Error()
}
