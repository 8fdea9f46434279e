package roles

import (
	"errors"
	"strings"
	"testing"

	"hlplay/engine/gitrepo"
)

func TestParse(t *testing.T) {
	commit := strings.Repeat("a1", 20)
	for label, want := range map[string]Address{
		"git::https://example.org/ops/roles.git//docker?ref=v1.4":     {"https://example.org/ops/roles.git", "v1.4", "docker"},
		"git::https://example.org/ops/docker.git?ref=main":            {"https://example.org/ops/docker.git", "main", "."},
		"git::ssh://git@example.org:2222/roles//web/vhost.hcl?ref=v1": {"ssh://git@example.org:2222/roles", "v1", "web/vhost.hcl"},
		"git::git@example.org:ops/roles.git//docker?ref=feature/x":    {"git@example.org:ops/roles.git", "feature/x", "docker"},
		"git::git@example.org:ops/roles.git?ref=feature%2Fx":          {"git@example.org:ops/roles.git", "feature/x", "."},
		"git::/srv/git/roles.git//docker?ref=HEAD":                    {"/srv/git/roles.git", "HEAD", "docker"},
		"git::file:///srv/git/roles.git//docker?ref=v1":               {"file:///srv/git/roles.git", "v1", "docker"},
		"git::http://example.org/roles//docker?ref=" + commit:         {"http://example.org/roles", commit, "docker"},
	} {
		a, err := Parse(label)
		if err != nil || a != want {
			t.Errorf("%s is %+v (%v), expected %+v", label, a, err, want)
		}
	}
	for problem, labels := range map[string][]string{
		"begins with git::": {"https://example.org/roles.git//docker?ref=v1", "git@example.org:roles.git", "hg::https://example.org/roles?ref=v1", "ext::sh -c id"},
		"not the URL of a repository": {
			"git::?ref=v1", "git::ext::sh -c id?ref=v1", "git::ext::id?ref=v1", "git::fd::17?ref=v1", "git::-x?ref=v1", "git::--upload-pack=id?ref=v1", "git::../roles?ref=v1",
			"git::ssh://-oProxyCommand=id/x?ref=v1", "git::-oProxyCommand=id@example.org:x?ref=v1", "git::file://example.org/x?ref=v1", "git::file://../x?ref=v1",
			"git::git::https://example.org/x?ref=v1", "git:://srv/x?ref=v1",
		},
		"a password or a token":       {"git::https://ada:pw@example.org/x?ref=v1", "git::https://token@example.org/x//docker?ref=v1"},
		"only ref is allowed":         {"git::https://example.org/x?ref=v1&token=abc", "git::https://example.org/x?token=abc", "git::https://example.org/x?ref=v1&depth=1", "git::https://example.org/x?ref=%zz"},
		"may be a token":              {"git::https://example.org/x#abc?ref=v1"},
		"names no revision":           {"git::https://example.org/x", "git::https://example.org/x?"},
		"several revisions":           {"git::https://example.org/x?ref=v1&ref=v2"},
		"is not the name of a branch": {"git::https://example.org/x?ref=", "git::https://example.org/x?ref=--upload-pack", "git::https://example.org/x?ref=HEAD~1", "git::https://example.org/x?ref=a..b", "git::https://example.org/x?ref=a:b"},
		"over http anybody":           {"git::http://example.org/x?ref=v1"},
		"the part after // is not": {
			"git::https://example.org/x//?ref=v1", "git::https://example.org/x//../y?ref=v1", "git::https://example.org/x//a/../../y?ref=v1", "git::https://example.org/x//a//b?ref=v1",
			"git::https://example.org/x///etc?ref=v1", "git::https://example.org/x//.git/hooks?ref=v1", "git::https://example.org/x//a/.GIT?ref=v1", "git::https://example.org/x//a\x1b[2J?ref=v1",
		},
	} {
		for _, label := range labels {
			_, err := Parse(label)
			var fault *gitrepo.Fault
			if !errors.As(err, &fault) || !strings.Contains(fault.Problem, problem) || fault.Want == "" {
				t.Errorf("%q: the error is %v, expected %q", label, err, problem)
			}
			if strings.Contains(label, "abc") && strings.Contains(err.Error(), "abc") {
				t.Errorf("%q: the error %q has the token", label, err)
			}
			if !IsAddress(label) && strings.HasPrefix(label, "git:") {
				t.Errorf("%q is taken for a path", label)
			}
		}
	}
	for _, path := range []string{"roles/docker", "../docker.hcl", "/srv/roles/docker", "roles/a@b", "docker"} {
		if IsAddress(path) {
			t.Errorf("the path %s is taken for an address", path)
		}
	}
}

// FuzzParse checks that every accepted address can be passed to git, and that its written form parses as the same
// address.
func FuzzParse(f *testing.F) {
	for _, label := range []string{
		"git::https://example.org/ops/roles.git//docker?ref=v1.4", "git::git@example.org:a/b.git//c/d.hcl?ref=x%2Fy", "git::/srv/a//b?ref=HEAD", "git::file:///srv/a?ref=v1",
		"git::ext::sh -c id?ref=v1", "git::-x?ref=v1", "git::https://a:b@example.org//x//../y?ref=v1&token=c",
	} {
		f.Add(label)
	}
	f.Fuzz(func(t *testing.T, label string) {
		a, err := Parse(label)
		if err != nil {
			return
		}
		if !IsAddress(label) {
			t.Errorf("%q is an address, and taken for a path", label)
		}
		if again, err := Parse(a.String()); err != nil || again != a {
			t.Errorf("%q is %+v, and its written form %q is %+v (%v)", label, a, a.String(), again, err)
		}
		if strings.HasPrefix(a.Repository, "-") || strings.HasPrefix(a.Revision, "-") || strings.Contains(a.Repository, "::") && !strings.Contains(a.Repository, "/") {
			t.Errorf("%q gives git %+v", label, a)
		}
		for part := range strings.SplitSeq(a.Path, "/") {
			if part == ".." || part == "" || strings.EqualFold(part, ".git") {
				t.Errorf("%q has the path %q", label, a.Path)
			}
		}
	})
}
