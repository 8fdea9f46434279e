package lang

import (
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/engine/hclfile"
	"hlplay/engine/secret"
	"hlplay/modules"
)

// reader reads a file on the controller.
type reader func(path string) ([]byte, error)

// files holds the files on the controller that expressions read. Each is read and parsed only once: all hosts get the
// same content, which is what Load has checked, and no host waits for another.
type files struct {
	read    reader
	secrets *secret.Keyring
	// contributed holds the functions that modules add.
	contributed []definition

	mu     sync.Mutex
	opened map[string]*file
	called map[caller]map[string]function.Function
}

// caller identifies where functions are called from: the directory of the file, and the number of templates being
// rendered around the call.
type caller struct {
	dir   string
	depth int
}

func newFiles(read reader, specs []modules.Spec, secrets *secret.Keyring) *files {
	return &files{read: read, secrets: secrets, contributed: contributed(specs), opened: map[string]*file{}, called: map[caller]map[string]function.Function{}}
}

// file is a file whose content and template are produced when they are first needed.
type file struct {
	content  func() ([]byte, error)
	template func() (hclsyntax.Expression, hcl.Diagnostics)
}

func (f *files) open(path string) *file {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.opened[path]; known != nil {
		return known
	}
	opened := &file{content: sync.OnceValues(func() ([]byte, error) { return f.read(path) })}
	opened.template = sync.OnceValues(func() (hclsyntax.Expression, hcl.Diagnostics) {
		src, err := opened.content()
		if err != nil { // the caller has already reported the error
			return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: err.Error()}}
		}
		expr, diags := hclfile.ParseTemplate(src, path)
		if !diags.HasErrors() {
			meter(expr)
		}
		return expr, diags
	})
	f.opened[path] = opened
	return opened
}

// functions returns the functions that expressions can call in a file of a directory.
func (f *files) functions(from caller) map[string]function.Function {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.called[from]
	if known == nil {
		known = functionMap(definitions(from, f))
		f.called[from] = known
	}
	return known
}
