package lang

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/gitrepo"
	"hlplay/engine/hclfile"
	"hlplay/engine/roles"
)

// Roles locates the repositories of roles that are imported by their address.
type Roles interface {
	// Locate returns the directory of the repository at an address. Its error is a *roles.LockError or a
	// *roles.Problem.
	Locate(a roles.Address) (dir string, err error)
}

// repository is the location of a role's repository. ok is false if it cannot be used.
type repository struct {
	dir string
	ok  bool
}

// roleFile is the file of a role that is imported.
type roleFile struct {
	file string
	// name is the role's name.
	name string
	// repository is the directory of the repository with which the role was fetched, or empty.
	repository string
}

// mainFile is the file of a role that is imported by the name of its directory.
const mainFile = "main.hcl"

// locate finds the file of a role. dir is the directory of the file that imports the role, and from that of the
// repository with which that file was fetched, or empty.
func (l *loader) locate(label string, at hcl.Range, dir, from string) (roleFile, bool) {
	if roles.IsAddress(label) {
		return l.locateAddress(label, at)
	}
	path := importPath(dir, label)
	if from != "" {
		if inside, err := filepath.Rel(from, path); filepath.IsAbs(label) || err != nil || !filepath.IsLocal(inside) {
			l.report(fault(at, "the import path leaves the role's repository", "A fetched role can import roles of its own repository by relative path, and others by address."))
			return roleFile{}, false
		}
	}
	return roleFile{fileOfRole(path), strings.TrimSuffix(filepath.Base(path), ".hcl"), from}, true
}

// fileOfRole returns the file of a role, given the path of its directory or of the file itself.
func fileOfRole(path string) string {
	if filepath.Ext(path) != ".hcl" {
		path = filepath.Join(path, mainFile)
	}
	return filepath.Clean(path)
}

func (l *loader) locateAddress(label string, at hcl.Range) (roleFile, bool) {
	a, err := roles.Parse(label)
	if err != nil {
		summary, detail := "wrong address of a role", err.Error()
		if wrong := (*gitrepo.Fault)(nil); errors.As(err, &wrong) {
			detail = sentence(wrong.Problem) + " " + sentence(wrong.Want)
		}
		l.report(fault(at, summary, detail))
		return roleFile{}, false
	}
	whole := a
	whole.Path = "."
	found, known := l.fetched[whole]
	if !known {
		found = l.repository(whole, at)
		l.fetched[whole] = found
	}
	if !found.ok {
		return roleFile{}, false
	}
	file := fileOfRole(filepath.Join(found.dir, filepath.FromSlash(a.Path)))
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		l.report(fault(at, "there is no such role in the repository",
			fmt.Sprintf("At %s it has no file %s: check the path after // in the address.", a.Revision, filepath.ToSlash(strings.TrimPrefix(file, found.dir+string(filepath.Separator))))))
		return roleFile{}, false
	}
	return roleFile{file, a.Name(), found.dir}, true
}

// repository asks for the location of a repository. Problems are reported at the first import that needs it.
func (l *loader) repository(a roles.Address, at hcl.Range) repository {
	if l.options.Roles == nil {
		l.report(fault(at, "the address of a role cannot be used here", "Import a role from a folder."))
		return repository{}
	}
	dir, err := l.options.Roles.Locate(a)
	var lock *roles.LockError
	var problem *roles.Problem
	switch {
	case err == nil:
		return repository{dir, true}
	case errors.As(err, &lock):
		l.report(lock.Diags...)
		if lock.File != nil {
			l.playbook.Files[lock.Name] = lock.File
		}
	case errors.As(err, &problem):
		detail := problem.Detail
		if problem.Install {
			detail += fmt.Sprintf("\nRun: hlplay roles install %s", l.playbook.Path)
		}
		l.report(fault(at, problem.Summary, detail))
	default:
		l.report(fault(at, "the role cannot be used", sentence(err.Error())))
	}
	return repository{}
}

// Follow reads a playbook and everything that it imports, and has o.Roles locate each role that is imported by its
// address. It needs no values and, unlike Load, checks nothing else. The playbook is for quoting lines in diagnostics.
func Follow(path string, o Options) (*Playbook, hcl.Diagnostics) {
	l := newLoader(path, o, hclfile.Read)
	l.follow(roleFile{file: filepath.Clean(path)}, nil, false, make(map[string]bool))
	return l.playbook, arrange(l.diags, l.order)
}

// follow follows the imports in a playbook's file or, if inRole is set, in a role's. seen holds the files that were
// already followed.
func (l *loader) follow(of roleFile, at *hcl.Range, inRole bool, seen map[string]bool) {
	if seen[of.file] {
		return
	}
	seen[of.file] = true
	body, ok := l.parse(of.file, at)
	if !ok {
		return
	}
	dir := filepath.Dir(of.file)
	var within func(body *hclsyntax.Body, inPlay bool)
	within = func(body *hclsyntax.Body, inPlay bool) {
		for _, block := range body.Blocks {
			switch {
			case block.Type != "import":
				within(block.Body, true)
			case len(block.Labels) != 1: // validation reports it
			case inPlay:
				if role, ok := l.locate(block.Labels[0], block.LabelRanges[0], dir, of.repository); ok {
					l.follow(role, &block.LabelRanges[0], true, seen)
				}
			case !roles.IsAddress(block.Labels[0]):
				l.follow(roleFile{file: importPath(dir, block.Labels[0])}, &block.LabelRanges[0], false, seen)
			}
		}
	}
	within(body, inRole)
}
