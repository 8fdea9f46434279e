package apt

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// sourceFiles expects source files, in both kinds of observation that contain them.
func sourceFiles(files ...observe.TextFile) []observe.Expectation {
	expect := []observe.Expectation{SourceFiles.Expect("", files)}
	for _, f := range files {
		expect = append(expect, observe.Files.Expect(f.Path, text(f.Content)))
	}
	return expect
}

// Proxmox's installer sets up enterprise sources for Proxmox VE and Ceph. Without a subscription, each makes apt-get
// update fail.
func TestEnterpriseSourcesAreDisabledInWhateverFile(t *testing.T) {
	const ceph = "Types: deb\nURIs: https://enterprise.proxmox.com/debian/ceph-squid\nSuites: trixie\nComponents: enterprise\nSigned-By: /k\n"
	const both = "# mine\ndeb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\ndeb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n"
	h := recorded(trixie, sourceFiles(
		observe.TextFile{Path: sourcesDir + "ceph.sources", Content: ceph},
		observe.TextFile{Path: "/etc/apt/sources.list", Content: both},
		observe.TextFile{Path: sourcesDir + "off.sources", Content: "Enabled: false\n" + ceph},
	))
	m := &Module{DisableURIs: []string{"https://enterprise.proxmox.com"}}
	plan, err := modulestest.Decoded(m).Plan(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for _, step := range plan.Steps {
		w, ok := step.Action.(modules.WriteFile)
		if !ok {
			t.Fatalf("step %q is a %T", step.Summary, step.Action)
		}
		written[w.Path] = string(w.Content)
	}
	if got, want := written[sourcesDir+"ceph.sources"], "Enabled: no\n"+ceph; got != want {
		t.Errorf("ceph.sources becomes %q, want %q", got, want)
	}
	if got, want := written["/etc/apt/sources.list"], strings.Replace(both, "deb https", "# deb https", 1); got != want {
		t.Errorf("sources.list becomes %q, want %q", got, want)
	}
	if len(written) != 2 {
		t.Errorf("what is off is written again: %v", written)
	}
	plans(t, m, h, "disable https://enterprise.proxmox.com in "+sourcesDir+"ceph.sources", "disable https://enterprise.proxmox.com in /etc/apt/sources.list")
}

func TestDisablePartOfStanza(t *testing.T) {
	h := recorded(trixie, sourceFiles(observe.TextFile{
		Path:    sourcesDir + "pve.sources",
		Content: "Types: deb\nURIs: https://enterprise.proxmox.com/debian/pve http://mirror.example.org/pve\nSuites: trixie\nComponents: x\n",
	}))
	_, err := modulestest.Decoded(&Module{DisableURIs: []string{"https://enterprise.proxmox.com"}}).Plan(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "http://mirror.example.org/pve") {
		t.Errorf("error %v, want one that names the other URI", err)
	}
}
