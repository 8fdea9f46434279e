// Package roles manages the roles that a project imports from git repositories: their addresses, the lock file that
// pins them to commits, and the directory into which they are fetched.
//
// Only Fetcher uses the network. Everything else reads the lock file and the fetched files, and compares their hashes.
package roles

import (
	"errors"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"unicode"

	"hlplay/engine/gitrepo"
	"hlplay/engine/pattern"
)

// Address is the address of a role in a git repository, in the format of Terraform's module sources:
// git::https://example.org/ops/roles.git//docker?ref=v1.4.
type Address struct {
	// Repository is the address from which git fetches, Revision a branch, a tag, a full commit ID or HEAD.
	Repository, Revision string
	// Path is the slash-separated path of the role in the repository, "." for its top directory.
	Path string
}

// String returns the address as it is written in an import.
func (a Address) String() string {
	s := prefix + a.Repository
	if a.Path != "." {
		s += "//" + a.Path
	}
	return s + "?" + url.Values{"ref": {a.Revision}}.Encode()
}

// Name returns the name of the role at the address: the last element of its path, without ".git" or ".hcl".
func (a Address) Name() string {
	if a.Path == "." {
		return repositoryName(a.Repository)
	}
	return strings.TrimSuffix(path.Base(a.Path), ".hcl")
}

// repositoryName returns the last element of a repository's address without ".git".
func repositoryName(repository string) string {
	return strings.TrimSuffix(repository[strings.LastIndexAny(repository, "/:")+1:], ".git")
}

const (
	prefix  = "git::"
	example = "git::https://example.org/ops/roles.git//docker?ref=v1.4"
)

var remote = pattern.New(`::|://|^[^/]*@[^/]*:|\?ref=`)

// IsAddress reports whether the label of an import is meant as an address, valid or not, rather than as a path.
func IsAddress(label string) bool { return remote.MatchString(label) }

// Parse reads an address. Its error is a *gitrepo.Fault.
func Parse(label string) (Address, error) {
	rest, ok := strings.CutPrefix(label, prefix)
	if !ok {
		return Address{}, &gitrepo.Fault{Problem: "the address of a role begins with " + prefix, Want: "write it as in " + example}
	}
	rest, query, _ := strings.Cut(rest, "?")
	a := Address{Repository: rest, Path: "."}
	from := strings.Index(rest, "://") + 1
	if from > 0 {
		from += len("//")
	}
	if at := strings.Index(rest[from:], "//"); at >= 0 {
		a.Repository, a.Path = rest[:from+at], rest[from+at+len("//"):]
		if !validPath(a.Path) {
			return Address{}, &gitrepo.Fault{Problem: "the part after // is not the path of a role in the repository", Want: "write it as in " + example}
		}
	}
	local, isFile := strings.CutPrefix(a.Repository, "file://")
	if isFile && !strings.HasPrefix(local, "/") {
		local = "" // it names a host
	}
	if err := gitrepo.CheckAddress(local); err != nil {
		return Address{}, of("the repository", err)
	}
	values, err := url.ParseQuery(query)
	refs := values["ref"]
	delete(values, "ref")
	switch {
	case err != nil || len(values) > 0:
		return Address{}, &gitrepo.Fault{Problem: "only ref is allowed after the question mark", Want: "remove everything else; a password or a token belongs in a credential helper of git"}
	case len(refs) == 0:
		return Address{}, &gitrepo.Fault{Problem: "the address names no revision", Want: "add ?ref= and a branch, a tag or a commit, as in " + example}
	case len(refs) > 1:
		return Address{}, &gitrepo.Fault{Problem: "the address names several revisions", Want: "write ref once"}
	}
	a.Revision = refs[0]
	if err := gitrepo.CheckRevision(a.Repository, a.Revision); err != nil {
		return Address{}, of("the revision", err)
	}
	return a, nil
}

// of says which part of an address a fault is in.
func of(part string, err error) error {
	var fault *gitrepo.Fault
	if errors.As(err, &fault) {
		return &gitrepo.Fault{Problem: part + ": " + fault.Problem, Want: fault.Want}
	}
	return err
}

// validPath reports whether a path can name something in a repository's tree, and is safe to print on a terminal.
func validPath(name string) bool {
	if !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") {
			return false
		}
	}
	return true
}
