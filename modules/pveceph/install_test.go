package pveceph

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

const squidSources = `Types: deb
URIs: http://download.proxmox.com/debian/ceph-squid
Suites: trixie
Components: no-subscription
Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg
`

// installHost returns a node of a major version; sources holds the contents of apt's files for Ceph.
func installHost(major int, local ceph.Node, sources map[string]string, installed ...string) *observe.Host {
	node := pve.Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}
	if major == 8 {
		node.Codename, node.Version = "bookworm", "8.4.1"
	}
	known := []observe.Expectation{pve.Nodes.Expect("", node), ceph.Nodes.Expect("", local)}
	for _, name := range []string{"/etc/apt/sources.list.d/ceph.sources", "/etc/apt/sources.list.d/ceph.list"} {
		f := observe.File{}
		if content, ok := sources[name]; ok {
			f = observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Content: []byte(content), Size: int64(len(content))}
		}
		known = append(known, observe.Files.Expect(name, f))
	}
	has := map[string]bool{}
	for _, name := range installed {
		has[name] = true
	}
	for _, name := range packages {
		p := observe.Package{}
		if has[name] {
			p = observe.Package{Status: observe.InstalledStatus, Version: "19.2.3-pve2"}
		}
		known = append(known, observe.Packages.Expect(name, p))
	}
	return observe.NewRecorded("pve1", known...)
}

func TestInstall(t *testing.T) {
	full := ceph.Node{Installed: true, Release: 19}
	sources, list := "/etc/apt/sources.list.d/ceph.sources", "/etc/apt/sources.list.d/ceph.list"
	tests := []struct {
		name  string
		host  *observe.Host
		steps []string // parts of the summaries, in order
	}{
		{"on 9", installHost(9, ceph.Node{}, nil, "ceph-common", "ceph-fuse"), []string{"write " + sources, "update", "install Ceph squid: ceph, ceph-common, ceph-fuse, ceph-mds, ceph-volume, gdisk, nvme-cli", "reload"}},
		{"on 8", installHost(8, ceph.Node{}, nil), []string{"write " + list, "update", "install Ceph squid", "reload"}},
		{"converged", installHost(9, full, map[string]string{sources: squidSources}, packages...), nil},
		{"one package is missing", installHost(9, full, map[string]string{sources: squidSources}, packages[:6]...), []string{"update", "install Ceph squid: nvme-cli", "reload"}},
		{"a list left by an upgrade", installHost(9, full, map[string]string{sources: squidSources, list: "deb x bookworm main\n"}, packages...), []string{"remove " + list, "update"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &Module{Install: &Install{Version: "squid"}}, test.host)
			if len(plan.Steps) != len(test.steps) {
				t.Fatalf("want %d steps, got:\n%s", len(test.steps), modulestest.Summaries(plan))
			}
			for i, want := range test.steps {
				if !strings.Contains(plan.Steps[i].Summary, want) {
					t.Errorf("step %d is %q, want %q", i, plan.Steps[i].Summary, want)
				}
			}
		})
	}
}

func TestInstallAsksNothing(t *testing.T) {
	plan, err := modulestest.Decoded(&Module{Install: &Install{Version: "squid"}}).Plan(context.Background(), installHost(9, ceph.Node{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(squidSources, string(plan.Steps[0].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("what pveceph install would write -want +got:\n%s", diff)
	}
	run := plan.Steps[2].Action.(modules.Run)
	argv := strings.Join(run.Argv, " ")
	for _, want := range []string{"-y", "--no-install-recommends", "--force-confold", "DPkg::Lock::Timeout"} {
		if !strings.Contains(argv, want) {
			t.Errorf("%q lacks %q", argv, want)
		}
	}
	// Both commands run like those of apt's own tasks: nothing prompts, and errors are explained.
	for _, step := range []int{1, 2} {
		run := plan.Steps[step].Action.(modules.Run)
		if run.Env["DEBIAN_FRONTEND"] != "noninteractive" || run.Env["APT_LISTCHANGES_FRONTEND"] != "none" || run.Env["LC_ALL"] != "C" {
			t.Errorf("apt could ask, or speak another language: %v", run.Env)
		}
		if !slices.Contains(run.Retry, "locked by another process") {
			t.Errorf("a lock of dpkg that is held is not waited for: %q", run.Retry)
		}
		err := run.Explain(100, nil, []byte("E: Failed to fetch http://download.proxmox.com/debian/ceph-squid/dists/trixie/InRelease  401  Unauthorized"))
		if err == nil || !strings.Contains(err.Error(), "ceph.sources") {
			t.Errorf("a refused source is explained as %v, want the file that names it", err)
		}
	}
	if !plan.Steps[1].Refresh {
		t.Error("updating the index alone is no change")
	}
}

func TestInstallRefuses(t *testing.T) {
	tests := map[string]struct {
		version string
		host    *observe.Host
		want    []string
	}{
		"another release": {"tentacle", installHost(9, ceph.Node{Installed: true, Release: 19}, nil, packages...), []string{"squid", "tentacle", "never changes"}},
		"not for 8":       {"tentacle", installHost(8, ceph.Node{}, nil), []string{"Proxmox VE 8", "quincy, reef, squid"}},
		"somebody's apt":  {"squid", installHost(9, ceph.Node{Installing: true}, nil), []string{"/run/pve-ceph-install-flag"}},
		"without Proxmox": {"squid", observe.NewRecorded("pve1", ceph.Nodes.Expect("", ceph.Node{}),
			pve.Nodes.Expect("", pve.Node{Name: "pve1", Codename: "trixie"})), []string{"no Proxmox VE", "proxmox-ve"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := (&Install{Version: test.version}).plan(context.Background(), test.host)
			if err == nil {
				t.Fatal("not refused")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

// An installed release is never refused because Proxmox no longer offers it, be it Debian's own or one from before an
// upgrade of Proxmox VE.
func TestInstallKeepsRelease(t *testing.T) {
	reef := &Module{Install: &Install{Version: "reef"}}
	plan, err := modulestest.Decoded(reef).Plan(t.Context(), installHost(9, ceph.Node{Installed: true, Release: 18}, nil, packages...))
	if err != nil || len(plan.Steps) > 0 || len(plan.Notes) != 1 {
		t.Errorf("plan %v with notes %q (%v), want nothing to do and one note", modulestest.Summaries(plan), plan.Notes, err)
	}
	_, err = modulestest.Decoded(reef).Plan(t.Context(), installHost(9, ceph.Node{Installed: true, Release: 18}, nil, packages[:6]...))
	if err == nil || !strings.Contains(err.Error(), "nvme-cli is missing") {
		t.Errorf("error %v, want one that names the missing package", err)
	}
	_, err = modulestest.Decoded(reef).Plan(t.Context(), installHost(9, ceph.Node{}, nil))
	if err == nil || !strings.Contains(err.Error(), "does not offer Ceph reef: it offers squid, tentacle") {
		t.Errorf("error %v, want the releases that there are", err)
	}
}

// A host's release is checked before anything is installed: by its Debian, if Proxmox VE is to come.
func TestReleaseIsOffered(t *testing.T) {
	bare := func(codename string) *observe.Host {
		return observe.NewRecorded("pve1", pve.Nodes.Expect("", pve.Node{Name: "pve1", Codename: codename}), ceph.Nodes.Expect("", ceph.Node{}))
	}
	for name, test := range map[string]struct {
		version string
		host    *observe.Host
		err     string
	}{
		"offered to come":      {"reef", bare("bookworm"), ""},
		"not offered to come":  {"tentacle", bare("bookworm"), "pve1 is a Debian that gets Proxmox VE 8, which does not offer Ceph tentacle: it offers quincy, reef, squid"},
		"not offered on 9":     {"reef", installHost(9, ceph.Node{}, nil), "pve1 runs Proxmox VE 9, which does not offer Ceph reef: it offers squid, tentacle"},
		"kept":                 {"reef", installHost(9, ceph.Node{Installed: true, Release: 18}, nil), ""},
		"another is installed": {"tentacle", installHost(9, ceph.Node{Installed: true, Release: 19}, nil), "has Ceph squid (19), but the task says tentacle (20)"},
		"another Debian":       {"squid", bare("bullseye"), "hlplay knows bookworm (Proxmox VE 8) and trixie (Proxmox VE 9)"},
	} {
		m := &Module{Release: &ReleaseCheck{Version: test.version}}
		plan, err := m.Plan(t.Context(), test.host)
		if !m.OnlyReads() || len(plan.Steps) > 0 || test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v and steps %q, want %q", name, err, modulestest.Summaries(plan), test.err)
		}
	}
}
