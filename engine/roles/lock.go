package roles

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"hlplay/engine/gitrepo"
	"hlplay/engine/hclfile"
	"hlplay/engine/pattern"
)

// LockFile is the name of the lock file, in the directory of the project.
const LockFile = ".hlplay.lock.hcl"

// Pin is an entry in the lock file: the commit and the content of a revision of a repository.
type Pin struct {
	Repository string `hcl:"repository,label"`
	Revision   string `hcl:"ref"`
	Commit     string `hcl:"commit"`
	// SHA256 is the hash of the tree of files, in hexadecimal; see Store.
	SHA256 string `hcl:"sha256"`
}

// Is reports whether the pin is for an address.
func (p Pin) Is(a Address) bool { return p.Repository == a.Repository && p.Revision == a.Revision }

// LockError reports that a lock file cannot be used.
type LockError struct {
	Name string
	// File is for quoting lines in diagnostics. It may be nil.
	File  *hcl.File
	Diags hcl.Diagnostics
}

// Error implements error.
func (e *LockError) Error() string { return e.Diags.Error() }

var digest = pattern.New(`^[0-9a-f]{64}$`)

// readLock returns the entries of a lock file. There are none if the file does not exist. Its error is a *LockError.
func readLock(name string) ([]Pin, error) {
	src, err := hclfile.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &LockError{Name: name, Diags: hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "the lock file cannot be read", Detail: err.Error() + "."}}}
	}
	file, diags := hclfile.Parse(src, name)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok || diags.HasErrors() {
		return nil, &LockError{name, file, diags}
	}
	var lock struct {
		Pins []Pin `hcl:"repository,block"`
	}
	if diags := gohcl.DecodeBody(body, nil, &lock); diags.HasErrors() {
		return nil, &LockError{name, file, diags}
	}
	seen := map[Address]bool{}
	for i, pin := range lock.Pins {
		a, err := Parse(Address{pin.Repository, pin.Revision, "."}.String())
		problem := ""
		switch {
		case err != nil:
			problem = err.Error()
		case !pin.Is(a):
			problem = "the repository is not the address of one"
		case !gitrepo.IsCommit(pin.Commit), gitrepo.IsCommit(pin.Revision) && pin.Commit != pin.Revision:
			problem = "commit is not the full name of the commit of ref"
		case !digest.MatchString(pin.SHA256):
			problem = "sha256 is not a hash of 64 digits"
		case seen[a]:
			problem = "the repository is pinned twice at this ref"
		}
		if problem != "" {
			at := body.Blocks[i].DefRange()
			return nil, &LockError{name, file, hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "wrong entry in the lock file", Subject: &at,
				Detail: "Here " + problem + ". Restore the entry from version control, or remove it and run hlplay roles install.",
			}}}
		}
		seen[a] = true
	}
	return lock.Pins, nil
}

// writeLock replaces a lock file, and reports whether that changed the file.
func writeLock(name string, pins []Pin) (changed bool, err error) {
	pins = slices.SortedFunc(slices.Values(pins), func(a, b Pin) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Revision, b.Revision))
	})
	file := hclwrite.NewEmptyFile()
	for _, pin := range pins {
		file.Body().AppendNewline()
		file.Body().AppendBlock(gohcl.EncodeAsBlock(&pin, "repository"))
	}
	text := "# The commits of the roles that are imported from git. Written by hlplay roles; commit it.\n" + string(hclwrite.Format(file.Bytes()))
	old, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && len(pins) == 0 || err == nil && string(old) == text {
		return false, nil
	}
	draft, err := os.CreateTemp(filepath.Dir(name), LockFile+".*")
	if err != nil {
		return false, err
	}
	_, err = draft.WriteString(text)
	err = errors.Join(err, draft.Chmod(0o644), draft.Sync(), draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), name)
	}
	if err != nil {
		os.Remove(draft.Name())
		return false, fmt.Errorf("cannot write %s: %w", name, err)
	}
	return true, nil
}
