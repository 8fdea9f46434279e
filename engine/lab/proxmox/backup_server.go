package proxmox

import (
	"io"

	"hlplay/engine/lab/machine"
)

// backupPort is the port of a Proxmox Backup Server.
const backupPort = 8007

// backupPackages returns the packages of Proxmox Backup Server. Its API is not simulated.
func backupPackages(debian string) []machine.Package {
	version := map[string]string{"bookworm": "3.2.4-1", "trixie": "4.0.11-2"}[debian]
	client := machine.Package{Name: "proxmox-backup-client", Version: version, Files: map[string]string{"/usr/bin/proxmox-backup-client": "\x7fELF"}}
	server := machine.Package{
		Name: "proxmox-backup-server", Version: version, Component: "pbs-no-subscription", Depends: []string{"proxmox-backup-client"},
		Programs:  map[string]machine.Program{"/usr/sbin/proxmox-backup-manager": backupManager},
		Conffiles: enterpriseSource(debian, "pbs"),
		Units:     []machine.Unit{{Name: "proxmox-backup", Enabled: true, Active: true}, {Name: "proxmox-backup-proxy", Enabled: true, Active: true}},
		Installed: func(m *machine.Machine, _ io.Writer) error {
			m.Serve(backupPort, func() bool { return m.Units().Active("proxmox-backup-proxy") })
			return backupSetup(m)
		},
	}
	all := []machine.Package{server}
	for _, component := range []string{pveComponent, server.Component, "pbs-client/main"} {
		client.Component = component
		all = append(all, client)
	}
	return all
}
