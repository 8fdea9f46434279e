package proxmox

import (
	"fmt"
	"strings"
)

// cephPackages are the packages that pveceph installs.
var cephPackages = []string{"ceph", "ceph-common", "ceph-fuse", "ceph-mds", "ceph-volume", "gdisk", "nvme-cli"}

// cephTitles are the names of the releases in pveceph.
var cephTitles = map[string]string{"quincy": "17.2 Quincy", "reef": "18.2 Reef", "squid": "19.2 Squid", "tentacle": "20.2 Tentacle"}

// pvecephInstall writes the repository file and runs apt-get, which asks its question on standard input.
func pvecephInstall(c *Command, a arguments) int {
	new9 := c.Node.Debian() != "bookworm"
	version := a.or("version", map[bool]string{true: "tentacle", false: "quincy"}[new9])
	repository := a.or("repository", "enterprise")
	switch repository {
	case "enterprise":
		fmt.Fprint(c.Stderr, "\nWARN: Enterprise repository selected, but no active subscription!\n")
	case "no-subscription":
		fmt.Fprint(c.Stderr, "\nHINT: The no-subscription repository is not the best choice for production setups.\nProxmox recommends using the enterprise repository with a valid subscription.\n")
	case "test":
		fmt.Fprint(c.Stderr, "\nWARN: The test repository should only be used for test setups or after consulting the official Proxmox support!\n")
	}
	host := "http://download.proxmox.com"
	if repository == "enterprise" {
		host = "https://enterprise.proxmox.com"
	}
	if repository != "manual" {
		file, text := "/etc/apt/sources.list.d/ceph.list", fmt.Sprintf("deb %s/debian/ceph-%s bookworm %s\n", host, version, repository)
		if new9 {
			file = "/etc/apt/sources.list.d/ceph.sources"
			text = fmt.Sprintf("Types: deb\nURIs: %s/debian/ceph-%s\nSuites: trixie\nComponents: %s\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n", host, version, repository)
		}
		if err := c.Node.WriteFile(file, []byte(text), 0o644); err != nil {
			return c.report(err)
		}
	}
	if c.Exec == nil {
		return c.die(exitDie, "apt-get cannot be run on this node")
	}
	const flag = "/run/pve-ceph-install-flag"
	if err := c.Node.WriteFile(flag, nil, 0o644); err != nil {
		return c.report(err)
	}
	c.printf("update available package list\n")
	c.Exec("apt-get", "-q", "update") // the real program ignores its failure as well
	c.printf("start installation\n")
	command := append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confnew", "install", "--"}, cephPackages...)
	code := c.Exec(command...)
	if err := c.Node.Remove(flag); err != nil {
		return c.report(err)
	}
	if code != 0 {
		return c.die(exitDie, "apt failed during ceph installation (%d)", code<<8)
	}
	if !strings.HasPrefix(cephReleases[upstream(c.Node.Version("ceph-mon"))].name, version) && repository == "manual" {
		return c.die(exitDie, "Selected Ceph version '%s' does not match the available version in the repository '%s'", strings.Fields(cephTitles[version])[0], c.Node.Version("ceph-mon"))
	}
	c.printf("\ninstalled Ceph %s successfully!\n\nreloading API to load new Ceph RADOS library...\n", cephTitles[version])
	c.Exec("systemctl", "try-reload-or-restart", "pvedaemon.service", "pveproxy.service")
	return 0
}
