package gitrepo_test

import (
	"strings"
	"testing"

	"hlplay/engine/gitrepo"
)

func TestCheckAddress(t *testing.T) {
	for _, good := range []string{
		"https://example.org/site.git", "https://example.org:8443/a/b", "ssh://git@example.org:2222/site", "git@example.org:site.git", "http://example.org/x",
		"git://example.org/x", "/srv/git/site.git", "/srv/what?.git",
	} {
		if err := gitrepo.CheckAddress(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for want, addresses := range map[string][]string{
		"not the URL of a repository": {
			"", "site", "-x", "--upload-pack=id", "ext::sh -c id", "fd::17", "ext::id", "https:///x", "http:///x", "ftp://example.org/x", "file:///srv/x", "/srv/../x", "/srv/x/",
			"-oProxyCommand=id@example.org:x", "ssh://-oProxyCommand=id/x", "ssh://-oProxyCommand=id@example.org/x", "git@-example.org:x", "https://example.org/a b", "https://example.org/a\nb",
		},
		"a password or a token": {"https://ada:pw@example.org/x", "https://token@example.org/x", "ssh://ada:pw@example.org/x", "git://ada@example.org/x"},
		"may be a token":        {"https://example.org/x?token=abc", "https://example.org/x.git?private_token=abc&a=b", "https://example.org/x#abc", "ssh://git@example.org/x?key=abc"},
	} {
		for _, address := range addresses {
			if err := gitrepo.CheckAddress(address); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error is %v, expected one with %q", address, err, want)
			}
		}
	}
}
