// Package registry lists the modules that hlplay ships. Adding a module is adding its package and one line here.
package registry

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/alternatives"
	"hlplay/modules/apt"
	"hlplay/modules/assert"
	"hlplay/modules/backup_job"
	"hlplay/modules/boot"
	"hlplay/modules/command"
	"hlplay/modules/compose"
	"hlplay/modules/cron"
	"hlplay/modules/debug"
	"hlplay/modules/download"
	"hlplay/modules/drill"
	"hlplay/modules/evacuate"
	"hlplay/modules/file"
	"hlplay/modules/filesystem"
	"hlplay/modules/firewall"
	"hlplay/modules/git"
	"hlplay/modules/group"
	"hlplay/modules/ha"
	"hlplay/modules/hostname"
	"hlplay/modules/http"
	"hlplay/modules/locale"
	"hlplay/modules/lvm"
	"hlplay/modules/mapping"
	"hlplay/modules/modprobe"
	"hlplay/modules/mount"
	"hlplay/modules/nebula"
	"hlplay/modules/network"
	"hlplay/modules/partition"
	"hlplay/modules/passthrough"
	"hlplay/modules/pbs"
	"hlplay/modules/pct"
	"hlplay/modules/preflight"
	"hlplay/modules/pve8to9"
	"hlplay/modules/pve_firewall"
	"hlplay/modules/pveceph"
	"hlplay/modules/pvecm"
	"hlplay/modules/pvesm"
	"hlplay/modules/qm"
	"hlplay/modules/raid"
	"hlplay/modules/reboot"
	"hlplay/modules/service"
	"hlplay/modules/sysctl"
	"hlplay/modules/systemd_unit"
	"hlplay/modules/test_restore"
	"hlplay/modules/throughput"
	"hlplay/modules/timezone"
	"hlplay/modules/user"
	"hlplay/modules/wait_for"
	"hlplay/modules/wireguard"
)

var all = []modules.Spec{
	alternatives.Spec,
	apt.Spec,
	assert.Spec,
	backup_job.Spec,
	boot.Spec,
	command.Spec,
	compose.Spec,
	cron.Spec,
	debug.Spec,
	download.Spec,
	drill.Spec,
	evacuate.Spec,
	file.Spec,
	filesystem.Spec,
	firewall.Spec,
	git.Spec,
	group.Spec,
	ha.Spec,
	hostname.Spec,
	http.Spec,
	locale.Spec,
	lvm.Spec,
	mapping.Spec,
	modprobe.Spec,
	mount.Spec,
	nebula.Spec,
	network.Spec,
	partition.Spec,
	passthrough.Spec,
	pbs.Spec,
	pct.Spec,
	preflight.Spec,
	pve8to9.Spec,
	pveceph.Spec,
	pvecm.Spec,
	pve_firewall.Spec,
	pvesm.Spec,
	qm.Spec,
	raid.Spec,
	reboot.Spec,
	service.Spec,
	sysctl.Spec,
	systemd_unit.Spec,
	test_restore.Spec,
	throughput.Spec,
	timezone.Spec,
	user.Spec,
	wait_for.Spec,
	wireguard.Spec,
}

// init makes what the modules know about their products available to the language and to other modules.
func init() {
	for _, spec := range all {
		observe.AddFacts(spec.Facts...)
		observe.AddFileSystems(spec.FileSystems...)
		if spec.Placed != nil {
			observe.AddMeanings(spec.Placed)
		}
		if spec.United != nil {
			observe.AddUnions(spec.United)
		}
		if spec.RootHint != "" {
			remote.AddRootHints(spec.RootHint)
		}
		apt.AddPackages(spec.Packages...)
	}
}

// All returns the modules in the order of their names.
func All() []modules.Spec { return slices.Clone(all) }

// Find returns the module of that name.
func Find(name string) (modules.Spec, bool) {
	for _, spec := range all {
		if spec.Name == name {
			return spec, true
		}
	}
	return modules.Spec{}, false
}
