package apt

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/modulestest"
)

func TestReleaseMovesSuites(t *testing.T) {
	r := &Release{From: "bookworm", To: "trixie"}
	for _, c := range []struct{ name, file, before, after string }{
		{"lines", "/etc/apt/sources.list", "# deb http://a/debian bookworm main\ndeb [arch=amd64 signed-by=/k/bookworm.gpg] http://a/bookworm bookworm main # bookworm\n\ndeb-src http://b bookworm-security/updates main\n",
			"# deb http://a/debian bookworm main\ndeb [arch=amd64 signed-by=/k/bookworm.gpg] http://a/bookworm trixie main # bookworm\n\ndeb-src http://b trixie-security/updates main\n"},
		{"another release", "/etc/apt/sources.list", "deb http://a sid main\ndeb http://a bookwormish main\ndeb http://a stable main\n", "deb http://a sid main\ndeb http://a bookwormish main\ndeb http://a stable main\n"},
		{"stanzas", "/etc/apt/sources.list.d/debian.sources", "# bookworm\nTypes: deb\nURIs: http://a/bookworm\nSuites: bookworm bookworm-updates\n# bookworm\n bookworm-backports\nComponents: main\n\nTypes: deb\nSuites:bookworm\nURIs: http://b\nComponents: main\nEnabled: no\n",
			"# bookworm\nTypes: deb\nURIs: http://a/bookworm\nSuites: trixie trixie-updates\n# bookworm\n trixie-backports\nComponents: main\n\nTypes: deb\nSuites:bookworm\nURIs: http://b\nComponents: main\nEnabled: no\n"},
		{"CRLF", "/etc/apt/sources.list", "deb http://a bookworm main\r\n", "deb http://a trixie main\r\n"},
		{"no newline at the end", "/etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: http://a\nSuites: bookworm\nComponents: main", "Types: deb\nURIs: http://a\nSuites: trixie\nComponents: main"},
	} {
		if after := r.moved(c.file, c.before); after != c.after {
			t.Errorf("%s: it becomes\n%s\nexpected\n%s", c.name, after, c.after)
		}
	}
}

// The release that a host runs becomes unknown only if the upgrade brings another one.
func TestReleaseUpgradeIsForeseen(t *testing.T) {
	for to, known := range map[string]bool{"13.8+deb13u2": false, "12.4+deb12u12": true} {
		h := recorded(bookworm, installed("base-files", "12.4+deb12u11"), transaction(fullUpgrade, PackageChange{Name: "base-files", From: "12.4+deb12u11", To: to}),
			one(PackageIndex.Expect("", Index{Exists: true})))
		modulestest.Converges(t, &Module{Upgrade: "full"}, h)
		if _, err := observe.OSRelease(t.Context(), h); observe.IsUnknown(err) == known || known && err != nil {
			t.Errorf("after an upgrade to %s: %v", to, err)
		}
	}
}

// Both files are changed, and check mode doubts what they will offer.
func TestReleasePlan(t *testing.T) {
	const list, more = "/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"
	files := map[string]string{list: "deb http://a bookworm main\n", more: "Types: deb\nURIs: http://b\nSuites: bookworm\nComponents: main\n"}
	h := recorded(bookworm, sourceFiles(observe.TextFile{Path: list, Content: files[list]}, observe.TextFile{Path: more, Content: files[more]}),
		one(observe.Files.Expect(list, text(files[list])), observe.Files.Expect(more, text(files[more]))))
	plan := modulestest.Converges(t, &Module{Release: &Release{From: "bookworm", To: "trixie"}}, h)
	if len(plan.Steps) != 2 || plan.Doubt == nil || !strings.Contains(plan.Steps[1].Summary, "debian.sources from bookworm to trixie") {
		t.Errorf("doubt %v, steps:\n%s", plan.Doubt, modulestest.Summaries(plan))
	}
	for _, bad := range []Release{{From: "trixie", To: "bookworm"}, {From: "bookworm", To: "13"}, {From: "trixie", To: "trixie"}} {
		if err := (&Module{Release: &bad, CacheAge: 1}).Validate(); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
