// Package gitrepo checks addresses and revisions of git repositories before they are passed to git, and parses what git
// reports about a repository.
package gitrepo

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"hlplay/engine/pattern"
)

var (
	scpForm = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:]`)
	hash    = pattern.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	// name matches what git-check-ref-format(1) permits for a branch or tag, as far as single characters decide it.
	name = pattern.New(`^[^-/.@~^:?*\[\\\x00-\x20\x7f][^~^:?*\[\\\x00-\x20\x7f]*$`)
)

// Fault is a problem with an address or a revision.
type Fault struct {
	// Problem says what is wrong, and Want what to write or do instead.
	Problem, Want string
}

// Error implements error.
func (f *Fault) Error() string { return f.Problem + ": " + f.Want }

// CheckAddress returns a *Fault unless git can safely fetch from an address: https://, ssh://, http://, git://,
// user@host:path or an absolute path. It rejects addresses that make git run a command, begin with a dash, or may
// contain credentials.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		u = &url.URL{} // a path, user@host:path, or something that must not be passed to git
	}
	user := u.User.Username()
	_, password := u.User.Password()
	known := slices.Contains([]string{"https", "ssh", "http", "git"}, u.Scheme)
	switch {
	case strings.ContainsAny(address, "\x00\r\n\t "), strings.HasPrefix(u.Host, "-"), strings.HasPrefix(user, "-"),
		!known && !scpForm.MatchString(address) && (!path.IsAbs(address) || path.Clean(address) != address):
		return &Fault{"it is not the URL of a repository", "expected one such as https://example.org/site.git, git@example.org:site.git or /srv/git/site.git"}
	case password || u.User != nil && u.Scheme != "ssh":
		return &Fault{"it contains a password or a token, which others could see", "leave it out, and set up a credential helper or an SSH key for the user who fetches"}
	case known && strings.ContainsAny(address, "?#"):
		return &Fault{"the part after its ? or # may be a token, which others could see, and is not part of a repository's URL", "leave it out, and set up a credential helper or an SSH key for the user who fetches"}
	}
	return nil
}

// Unencrypted returns the scheme of an address if it is unencrypted, so that a commit can be replaced with another one
// in transit. It is empty for other addresses.
func Unencrypted(address string) string {
	if u, err := url.Parse(address); err == nil && (u.Scheme == "http" || u.Scheme == "git") {
		return u.Scheme
	}
	return ""
}

// CheckRevision returns a *Fault unless a revision of the repository at an address is a branch, a tag, a full commit ID
// or HEAD. An unencrypted address requires a commit ID, because only that proves that the content was not modified in
// transit.
func CheckRevision(address, revision string) error {
	scheme := Unencrypted(address)
	switch {
	case revision != "HEAD" && !validName(revision):
		return &Fault{fmt.Sprintf("%q is not the name of a branch, a tag or a commit", revision), "expected a name such as main, v1.4 or HEAD, or a full commit id, not HEAD~1"}
	case scheme != "" && !IsCommit(revision):
		return &Fault{"over " + scheme + " anybody on the network path can replace it with another commit", "give the full commit id, or use https or ssh"}
	}
	return nil
}

func validName(s string) bool {
	return name.MatchString(s) && !strings.Contains(s, "..") && !strings.Contains(s, "//") && !strings.Contains(s, "@{") &&
		!strings.HasSuffix(s, "/") && !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, ".lock")
}

// IsCommit reports whether a revision is a full commit ID.
func IsCommit(revision string) bool { return hash.MatchString(revision) }

// Environment returns environment variables for git. With them, git does not ask for anything, does not let ssh ask on
// the user's terminal, and does not use a transport that runs a program named by the address. The caller may modify the
// map.
func Environment() map[string]string { return maps.Clone(environment) }

var environment = map[string]string{
	"GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force",
	"GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
}

// Refs returns the names to pass to `git ls-remote` to find the commit of a revision that is not a commit ID.
func Refs(revision string) []string {
	if revision == "HEAD" {
		return []string{"HEAD"}
	}
	tag := "refs/tags/" + revision
	return []string{"refs/heads/" + revision, tag, tag + "^{}"}
}

// Commit returns the commit of a revision, given the output of `git ls-remote` for its Refs.
func Commit(address, revision, listing string) (string, error) {
	found := map[string]string{}
	for line := range strings.Lines(listing) {
		if commit, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok && IsCommit(commit) {
			found[ref] = commit
		}
	}
	branch, tag := found["refs/heads/"+revision], found["refs/tags/"+revision]
	tag = cmp.Or(found["refs/tags/"+revision+"^{}"], tag) // an annotated tag is a separate object; tag^{} is its commit
	switch {
	case branch != "" && tag != "":
		return "", fmt.Errorf("%s has both a branch and a tag %s: rename one, or give the commit id, %s or %s", address, revision, branch, tag)
	case revision == "HEAD" && found["HEAD"] != "":
		return found["HEAD"], nil
	case branch+tag != "":
		return branch + tag, nil
	}
	return "", fmt.Errorf("%s has neither a branch nor a tag %s: check the name; a commit id must be given in full, with 40 digits", address, revision)
}
