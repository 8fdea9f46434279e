package wrongform

import (
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
)

func TestUpgrade(t *testing.T) {
	host := func(installed bool) modules.Host {
		var all []observe.Expectation
		for _, name := range wholes {
			p := observe.Package{}
			if installed && name == "proxmox-ve" {
				p.Status = observe.InstalledStatus
			}
			all = append(all, observe.Packages.Expect(name, p))
		}
		return observe.NewRecorded("pve1", all...)
	}
	for text, want := range map[string]bool{
		"apt upgrade -y": true,
		"DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confold upgrade": true,
		"sh -c apt-get update && apt-get upgrade":                                              true,
		"aptitude safe-upgrade":                   true,
		"apt-get -y full-upgrade":                 false,
		"apt-get dist-upgrade":                    false,
		"apt-get update; systemctl start upgrade": false,
		"# apt upgrade\napt full-upgrade":         false,
	} {
		if got := Upgrade(t.Context(), host(true), "shell", text); (len(got) == 1) != want {
			t.Errorf("%s: the advice is %v, expected %v", text, got, want)
		}
		if got := Upgrade(t.Context(), host(false), "shell", text); len(got) != 0 {
			t.Errorf("%s on a host without Proxmox VE: %v", text, got)
		}
	}
}

func TestSuites(t *testing.T) {
	host := observe.NewRecorded("pve1", observe.Files.Expect("/etc/os-release", observe.File{Type: observe.Regular, Content: []byte("VERSION_CODENAME=trixie\n")}))
	for text, want := range map[string]bool{
		"deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription":                                                    true,
		"deb [signed-by=/x] https://enterprise.proxmox.com/debian/ceph-squid bookworm enterprise":                                    true,
		"deb http://download.proxmox.com/debian/pve trixie pve-no-subscription":                                                      false,
		"# deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription":                                                  false,
		"deb http://mirror.example.org/debian bookworm main":                                                                         false,
		"Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie bookworm\nComponents: x\n":                         true,
		"Suites: bookworm\nURIs: http://mirror.example.org/debian\n\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie\n": false,
	} {
		if got := Suites(t.Context(), host, "content", text); (len(got) == 1) != want {
			t.Errorf("%s: the advice is %v, expected %v", text, got, want)
		}
	}
}
