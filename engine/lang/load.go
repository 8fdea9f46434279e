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
	"hlplay/engine/secret"
	"hlplay/modules"
)

// Options are the inputs of Load beside the sources.
type Options struct {
	// Modules are those that tasks may use.
	Modules []modules.Spec
	// Values are values of variables as given on a command line (`-e name=value`): text for a
	// variable of a primitive type or of no type, an HCL expression for any other. They win over
	// Inline, those over ValueFiles, those over Environment, and those over defaults.
	Values map[string]string
	// Inline are objects of values, in JSON or HCL; see InlineValues. A later one wins over an earlier one.
	Inline []string
	// ValueFiles are files of values (`-e @file`): JSON or YAML by their extension, else HCL
	// attributes. A later file wins over an earlier one.
	ValueFiles []string
	// Environment are values in the form of Values, without EnvironmentPrefix. Names that are not declared are ignored.
	Environment map[string]string
	// Inventory has the hosts that the playbook is judged for; nil if none is known: then patterns of hosts,
	// `hosts["name"]`, `groups.NAME` and what depends on a host are not judged.
	Inventory Inventory
	// Limit is a pattern of hosts: what depends on a host is judged for those that match; empty means all. Tags and
	// SkipTags select tasks in the same way.
	Limit          string
	Tags, SkipTags []string
	// Facts are the names and types of what expressions see as facts.NAME. Nil means that none is
	// known: then `facts` is not judged.
	Facts map[string]cty.Type
	// Secrets opens what secret() and secret_file() are given. Nil opens nothing: then secrets are unknown values.
	Secrets *secret.Keyring
}

// Inventory is the part of an inventory that Load uses.
type Inventory interface {
	// Names are the hosts that a pattern means, in the inventory's order, or what is wrong with it.
	Names(pattern string) ([]string, error)
	// HostsValue and GroupsValue are what expressions see as `hosts` and `groups`.
	HostsValue() cty.Value
	GroupsValue() cty.Value
	// Declare gives hosts the variables that the playbook declares, or reports what is wrong with theirs.
	Declare(vars []*hostvar.Variable, hosts []string, evaluate hostvar.Evaluate) hcl.Diagnostics
}

// Load reads a playbook with all that it imports and judges whatever can be judged without a
// host. It reports as many faults as it can find, in the order of the sources. The playbook is never
// nil, so that its Files can show the lines of the diagnostics, but it is of no other use if they
// contain an error.
func Load(path string, o Options) (*Playbook, hcl.Diagnostics) {
	return load(path, o, hclfile.Read)
}

// LoadSource is Load for a playbook that is not in a file; name stands for it in diagnostics.
// Imports and files are relative to the directory of name.
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
		schemas:  make(map[string]*ModuleSchema),
		sources:  make(map[string]*source),
		bodies:   make(map[string]*hclsyntax.Body),
	}
}

// loader carries what is known while a playbook is being read.
type loader struct {
	options  Options
	read     reader
	files    *files
	playbook *Playbook
	diags    hcl.Diagnostics
	schemas  map[string]*ModuleSchema

	// sources are the files read, by path; order is the order in which they were read.
	sources map[string]*source
	order   []string

	// bodies are those of the files of roles, by path; nil for one that is broken.
	bodies map[string]*hclsyntax.Body

	// space is that of the file which is being read.
	space  *namespace
	held   int  // bytes of text of all locals
	locked bool // a file of values is encrypted, and its values are unknown
	plays  []playBlock
}

func (l *loader) load(path string) {
	for _, spec := range l.options.Modules {
		schema := Schema(spec)
		l.schemas[spec.Name] = &schema
		if err := schema.Err(); err != nil {
			l.report(fault(hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos},
				fmt.Sprintf("module %q is defective", spec.Name), err.Error()))
		}
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

// broken reports whether a source could not be read or parsed: what else could be said about the others
// would mostly follow from that.
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

// parse reads one file of HCL. Where it cannot be read, the diagnostic is at from, or at the file's
// beginning if nothing refers to it.
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
		if from == nil { // the user named it
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

// relative is the explanation for a path that stands in a file.
const relative = ", which is relative to the directory of the file that names it"

// readProblem says why a file could not be read, and what to do.
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
			return "it is a directory, and a file is wanted; name a file in it"
		}
		err = path.Err
	}
	return err.Error()
}
