//go:build linux && e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/machine"
	"hlplay/engine/lab/proxmox"
)

// labProgram is the path at which the packages install the program that simulates all of Proxmox VE and Ceph.
const labProgram = "/usr/lib/proxmox-lab/proxmox-lab"

// buildLabProgram builds that program statically, for any Debian release.
func buildLabProgram(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "proxmox-lab")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", file, "./proxmox-lab")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program of the simulated Proxmox VE: %v\n%s", err, out)
	}
	return file
}

// proxmoxPackages returns the packages of the rehearsal's archive for a real machine, by component
// ("pve-no-subscription", "ceph-squid/no-subscription"). Programs and daemons are links to one program, and units are
// systemd's. Maintainer scripts only start units: the guard of proxmox-ve and the filter in lvm.conf are omitted.
func proxmoxPackages(t *testing.T, program string) map[string][]debianPackage {
	t.Helper()
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]debianPackage{"pve-no-subscription": {{
		name: "proxmox-lab", version: "1.0",
		files: map[string]string{
			strings.TrimPrefix(labProgram, "/"): string(binary),
			"lib/systemd/system/proxmox-lab.service": "[Unit]\nDescription=What the other nodes ask this one\nAfter=network.target local-fs.target\n" +
				"[Service]\nType=notify\nExecStart=" + labProgram + " agent\n[Install]\nWantedBy=multi-user.target\n",
			"DEBIAN/postinst": "#!/bin/sh\nset -e\nsystemctl --quiet enable --now proxmox-lab.service\n",
		},
	}}}
	for _, p := range proxmox.Packages(proxmox.NewWorld(machine.NewVirtualClock(time.Now())), "bookworm") {
		found[p.Component] = append(found[p.Component], debianOf(p))
	}
	return found
}

// daemons are the programs that run as services.
var daemons = []string{"pmxcfs", "ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds"}

// debianOf converts a package of the rehearsal's archive to a real one.
func debianOf(p machine.Package) debianPackage {
	depends := slices.Clone(p.Depends)
	d := debianPackage{name: p.Name, version: p.Version, files: map[string]string{}, links: map[string]string{}}
	link := func(name string) { d.links[strings.TrimPrefix(name, "/")] = labProgram }
	for name := range p.Programs {
		link(name)
	}
	for name, content := range p.Files {
		switch {
		case slices.Contains(daemons, path.Base(name)):
			link(name)
		case strings.HasSuffix(name, "@.service"):
			// In the lab, a daemon is ready when its command returns.
			d.files[name[1:]] = strings.Replace(content, "[Service]\n", "[Service]\nType=notify\n", 1)
		default:
			d.files[name[1:]] = content
		}
	}
	for name, content := range p.Conffiles {
		d.files[name[1:]] = content
		d.files["DEBIAN/conffiles"] += name + "\n"
	}
	var enabled, active []string
	for _, u := range p.Units {
		d.files["lib/systemd/system/"+u.Name] = unitFile(u)
		if u.Enabled {
			enabled = append(enabled, u.Name)
		}
		if u.Active {
			active = append(active, u.Name)
		}
	}
	if len(enabled) > 0 {
		// systemctl enable also makes systemd read the new units.
		d.files["DEBIAN/postinst"] = "#!/bin/sh\nset -e\nsystemctl --quiet enable " + strings.Join(enabled, " ") + "\n"
		if len(active) > 0 {
			d.files["DEBIAN/postinst"] += "systemctl start " + strings.Join(active, " ") + "\n"
		}
	}
	if len(d.links) > 0 || slices.ContainsFunc(p.Units, simulated) {
		depends = append(depends, "proxmox-lab")
	}
	for name, list := range map[string][]string{"Depends": depends, "Conflicts": p.Conflicts, "Provides": p.Provides} {
		if len(list) > 0 {
			d.fields += name + ": " + strings.Join(list, ", ") + "\n"
		}
	}
	return d
}

// simulated reports whether the lab needs to know when a unit runs.
func simulated(u machine.Unit) bool { return u.Start != nil }

// unitFile returns a systemd unit file for one of the rehearsal's units.
func unitFile(u machine.Unit) string {
	head := "[Unit]\nDescription=" + u.Name + " of the tests\n"
	install := "[Install]\nWantedBy=multi-user.target\n"
	if strings.HasSuffix(u.Name, ".target") {
		return head + install
	}
	if strings.HasSuffix(u.Name, ".timer") { // what it triggers is not simulated
		return head + "[Timer]\nOnCalendar=daily\nUnit=network.target\n[Install]\nWantedBy=timers.target\n"
	}
	run := "/bin/true\nRemainAfterExit=yes"
	kind := "oneshot"
	if simulated(u) {
		kind, run = "notify", labProgram+" service "+u.Name
		head += "Requires=proxmox-lab.service\nAfter=proxmox-lab.service\n"
	}
	switch u.Name {
	case "pve-cluster.service":
		run = "/usr/bin/pmxcfs"
		head += "Wants=corosync.service\nBefore=corosync.service\n"
	case "corosync.service":
		head += "ConditionPathExists=/etc/corosync/corosync.conf\n"
	default:
		head += "After=pve-cluster.service corosync.service\n"
	}
	return fmt.Sprintf("%s[Service]\nType=%s\nExecStart=%s\n%s", head, kind, run, install)
}

// foreignDependencies returns the Debian packages on which packages depend.
func foreignDependencies(packages []debianPackage) []string {
	own, needed := map[string]bool{}, map[string]bool{}
	for _, p := range packages {
		own[p.name] = true
	}
	for _, p := range packages {
		for line := range strings.Lines(p.fields) {
			list, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
			if !ok {
				continue
			}
			for _, name := range strings.Split(list, ", ") {
				needed[name] = needed[name] || !own[name]
			}
		}
	}
	maps.DeleteFunc(needed, func(_ string, missing bool) bool { return !missing })
	return slices.Sorted(maps.Keys(needed))
}
