package pveceph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/apt"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Install installs Ceph's packages on a node.
type Install struct {
	Version    string `hcl:"version" enum:"quincy,reef,squid,tentacle" doc:"Code name of the release. Proxmox VE 8 has quincy, reef and squid, 9 has squid and tentacle."`
	Repository string `hcl:"repository,optional" default:"no-subscription" enum:"no-subscription,enterprise,test" doc:"Proxmox's repository; enterprise needs a subscription."`
	Mirror     string `hcl:"mirror,optional" doc:"Base URI of a mirror of Proxmox's Debian archive. The default is Proxmox's own servers."`
}

// packages lists what pveceph install installs (PVE::CLI::pveceph).
var packages = []string{"ceph", "ceph-common", "ceph-fuse", "ceph-mds", "ceph-volume", "gdisk", "nvme-cli"}

// offered lists the Ceph releases for each major version of Proxmox VE.
var offered = map[int][]string{
	8: {"quincy", "reef", "squid"},
	9: {"squid", "tentacle"},
}

func (i *Install) scope() modules.Scope { return modules.EachHost }

func (i *Install) validate() error {
	if strings.ContainsAny(i.Mirror, " \t\n") {
		return &modules.ArgumentError{Argument: "install.mirror", Problem: "contains blanks", Want: "expected a URI"}
	}
	return nil
}

// ReleaseCheck checks that a host can get a release of Ceph, before anything is installed on it.
type ReleaseCheck struct {
	Version string `hcl:"version" enum:"quincy,reef,squid,tentacle" doc:"Code name of the release, as in install."`
}

func (c *ReleaseCheck) scope() modules.Scope { return modules.EachHost }

func (c *ReleaseCheck) onlyReads() bool { return true }

func (c *ReleaseCheck) validate() error { return nil }

func (c *ReleaseCheck) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	pve.Nodes.Want(h, "")
	local, err := ceph.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	major, err := pve.Major(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	has := "runs"
	if !node.Installed {
		has = "is a Debian that gets"
	}
	return modules.Plan{}, offers(h, has, major, c.Version, local)
}

// offers rejects a release of Ceph that the host's Proxmox VE does not offer, or that is not the one installed. has is the verb
// of the messages: "runs".
func offers(h modules.Host, has string, major int, version string, local ceph.Node) error {
	switch {
	case local.Installed && local.Release != 0 && local.Release != ceph.Release(version):
		return fmt.Errorf("%s has Ceph %s (%d), but the task says %s (%d): this module never changes an installed release, because an upgrade goes node by node, has its own steps and cannot be undone",
			h.Name(), ceph.ReleaseName(local.Release), local.Release, version, ceph.Release(version))
	case !slices.Contains(offered[major], version) && !local.Installed:
		return unfit("%s %s Proxmox VE %d, which does not offer Ceph %s: it offers %s", h.Name(), has, major, version, strings.Join(offered[major], ", "))
	}
	return nil
}

// source returns the file that pveceph install would write, and its content.
func (i *Install) source(major int) (path, content string) {
	base := strings.TrimSuffix(i.Mirror, "/")
	if base == "" {
		base = "http://download.proxmox.com/debian"
		if i.Repository == "enterprise" {
			base = "https://enterprise.proxmox.com/debian"
		}
	}
	uri := base + "/ceph-" + i.Version
	if major == 8 {
		return "/etc/apt/sources.list.d/ceph.list", fmt.Sprintf("deb %s bookworm %s\n", uri, i.Repository)
	}
	return "/etc/apt/sources.list.d/ceph.sources", fmt.Sprintf(`Types: deb
URIs: %s
Suites: trixie
Components: %s
Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg
`, uri, i.Repository)
}

// want announces what plan reads.
func (i *Install) want(h modules.Host) {
	ceph.Nodes.Want(h, "")
	pve.Nodes.Want(h, "")
	observe.Packages.Want(h, packages...)
	for _, major := range []int{8, 9} {
		path, _ := i.source(major)
		observe.Files.Want(h, path)
	}
}

func (i *Install) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	i.want(h)
	local, err := ceph.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	major, err := i.check(ctx, h, local)
	if err != nil {
		return modules.Plan{}, err
	}
	path, content := i.source(major)
	old := "/etc/apt/sources.list.d/ceph.list" // left next to ceph.sources by an upgrade from 8
	files, err := observe.Files.ObserveAll(ctx, h, []string{path, old})
	if err != nil {
		return modules.Plan{}, err
	}
	installed, err := observe.Packages.ObserveAll(ctx, h, packages)
	if err != nil && (local.Installed || !observe.IsUnknown(err)) {
		return modules.Plan{}, err
	}
	// If check mode cannot know about a package, because Proxmox VE may bring it, the server packages are missing anyway.
	var missing []string
	for _, name := range packages {
		if !installed[name].Installed() {
			missing = append(missing, name)
		}
	}
	if !local.Installed {
		// Like pveceph, name all packages. Client packages of another release, which came with Proxmox VE, are then updated from
		// the same source as the servers.
		missing = packages
	}
	if !slices.Contains(offered[major], i.Version) {
		return i.keep(h, major, missing)
	}
	source := observe.TextFile{Path: path, Content: content}
	plan := modules.Plan{Data: modules.Data(result{Version: &i.Version})}
	if string(files[path].Content) != content {
		plan.Steps = append(plan.Steps, i.writeSource(h, path, content, files[path]))
	}
	if major == 9 && files[old].Exists() {
		plan.Steps = append(plan.Steps, modules.Step{
			Summary: "remove " + old + ", which " + path + " replaces",
			Action:  modules.Remove{Path: old, Lossless: true},
			Diff:    &modules.Diff{Subject: old, Before: string(files[old].Content)},
			Expect:  on(h, observe.Placed(h, old, observe.File{})),
		})
	}
	if len(plan.Steps) > 0 || len(missing) > 0 {
		plan.Steps = append(plan.Steps, update(h, source))
	}
	if len(missing) > 0 {
		plan.Steps = append(plan.Steps, i.install(h, source, local, missing), reload())
	}
	return plan, nil
}

// check rejects what an installation would break, and returns the major version of Proxmox VE.
func (i *Install) check(ctx context.Context, h modules.Host, local ceph.Node) (int, error) {
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return 0, err
	}
	if !node.Installed {
		return 0, fmt.Errorf("%s has no Proxmox VE: install package proxmox-ve first", h.Name())
	}
	major, err := pve.Major(ctx, h)
	if err != nil {
		return 0, err
	}
	if local.Installing {
		return 0, installing(h)
	}
	return major, offers(h, "runs", major, i.Version, local)
}

// keep keeps an installed release for which this Proxmox VE has no repository, as on a node whose Proxmox VE was upgraded
// first.
func (i *Install) keep(h modules.Host, major int, missing []string) (modules.Plan, error) {
	if len(missing) > 0 {
		return modules.Plan{}, fmt.Errorf("%s has Ceph %s, but %s is missing, and Proxmox VE %d has no repository for it: it offers %s", h.Name(), i.Version, strings.Join(missing, ", "), major, strings.Join(offered[major], ", "))
	}
	return modules.Plan{
		Data:  modules.Data(result{Version: &i.Version}),
		Notes: []string{fmt.Sprintf("Proxmox VE %d has no repository for Ceph %s, which is installed: it gets no updates", major, i.Version)},
	}, nil
}

func (i *Install) writeSource(h modules.Host, path, content string, before observe.File) modules.Step {
	return modules.Step{
		Summary: fmt.Sprintf("write %s (ceph-%s, %s)", path, i.Version, i.Repository),
		Action:  modules.WriteFile{Path: path, Content: []byte(content), Mode: 0o644},
		Diff:    &modules.Diff{Subject: path, Before: string(before.Content), After: content},
		Expect: on(h, append(observe.Placed(h, path, observe.File{
			Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content),
		}), aptUnknown("the sources have changed"))),
	}
}

// on sets the host of expectations to h, because check mode could evaluate a step elsewhere.
func on(h modules.Host, expectations []observe.Expectation) []observe.Expectation {
	for n := range expectations {
		if expectations[n].Host == nil {
			expectations[n].Host = h
		}
	}
	return expectations
}

// aptUnknown makes apt's answers unknown.
func aptUnknown(because string) observe.Expectation {
	return observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == apt.Candidates.Name || k.Kind == apt.Transactions.Name
		},
		Unknown: because,
	}
}

func update(h modules.Host, source observe.TextFile) modules.Step {
	return modules.Step{
		Summary: "update the package index",
		Action:  apt.Update([]observe.TextFile{source}),
		Expect:  []observe.Expectation{apt.PackageIndex.Expect("", apt.Index{Exists: true}).On(h)},
		Refresh: true,
	}
}

func (i *Install) install(h modules.Host, source observe.TextFile, local ceph.Node, missing []string) modules.Step {
	local.Installed, local.Release = true, ceph.Release(i.Version)
	expect := []observe.Expectation{ceph.Nodes.Expect("", local), aptUnknown("packages have been installed")}
	for _, name := range packages {
		expect = append(expect, observe.Packages.Expect(name, observe.Package{Status: observe.InstalledStatus}))
	}
	expect = append(expect, observe.Expectation{Match: brought, Unknown: "Ceph's packages bring it"})
	return modules.Step{
		Summary: fmt.Sprintf("install Ceph %s: %s", i.Version, strings.Join(missing, ", ")),
		Action:  apt.Install([]observe.TextFile{source}, missing),
		Expect:  on(h, expect),
		Settle:  10 * time.Second,
		Await:   "Ceph's programs",
	}
}

// brought reports whether Ceph's packages may bring what the key names.
func brought(k observe.Key) bool {
	switch k.Kind {
	case observe.Units.Name:
		return strings.HasPrefix(k.Name, "ceph")
	case observe.Files.Name, observe.Dirs.Name, observe.Sums.Name:
		return strings.HasPrefix(k.Name, "/etc/ceph") || strings.HasPrefix(k.Name, "/var/lib/ceph") || strings.HasPrefix(k.Name, "/etc/default/ceph")
	case observe.Packages.Name:
		for _, prefix := range []string{"ceph", "librados", "librbd", "libcephfs", "python3-ceph", "python3-rados", "python3-rbd"} {
			if strings.HasPrefix(k.Name, prefix) {
				return true
			}
		}
	}
	return false
}

// reload makes the API load the new librados, as pveceph install does.
func reload() modules.Step {
	return modules.Step{
		Risk:    modules.Restarts,
		Summary: "reload pvedaemon and pveproxy, which load Ceph's library",
		Action:  modules.Run{Argv: []string{"systemctl", "try-reload-or-restart", "pvedaemon.service", "pveproxy.service"}, Limit: 2 * time.Minute, Brief: true},
	}
}
