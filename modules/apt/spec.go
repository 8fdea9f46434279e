package apt

import "hlplay/modules"

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "apt",
	Aliases: []string{"package", "yum", "dnf", "apt_repository", "apt_key", "deb822_repository", "dpkg_selections"},
	Summary: "Debian packages, and the repositories, keys and answers they need",
	Doc: `Installs, upgrades and removes packages, manages repositories and their keys, and preseeds answers to the packages' questions.
A task works in this order: keys, repositories, release, package index, answers, packages, upgrade, autoremove.

apt never asks questions: configuration files with local changes are kept, others are updated with their package. While another
process holds the package manager's lock, the task waits for up to lock_timeout, and then names that process.

The package index is fetched if something is to be installed and a source or key has changed since the last time, or if
update or upgrade is set and the index is older than cache_age. Fetching it does not count as a change.

A package can be given with a version, as for apt-get: nginx=1.22.1-9+deb12u1, or nginx=1.22* for the newest version with this
prefix. An installed version that matches is left alone, unless state is "latest". Versions include their epoch. Nothing is
downgraded unless allow_downgrade is set. A later upgrade may replace the version: hold = true prevents that, and so does
a pin below /etc/apt/preferences.d, which this module respects as apt does. If a dependency must have the same version, list it
as well. A virtual package is not installed: the error names the packages that provide it.

The running kernel is never removed. A task that would remove a protected package, such as proxmox-ve, is refused, and the
apt hook that protects it on the host stays in place.

A repository is a file in /etc/apt/sources.list.d. Its meaning is compared, so a different format is left alone, and a repository
that another file defines is not written again. If that file has a different signed-by, the task fails, because apt refuses
such a combination. enabled = false without uris disables a file that a package installed, such as pve-enterprise.sources. Unlike
deleting the file, this survives upgrades.

release changes the suites of all enabled sources from one Debian release to another (bookworm-security to trixie-security), before
upgrade = "full". If a source does not offer the new release, fetching the index fails before any package is changed.

A key is verified against its checksum before it is installed.

Check mode asks apt what else would be installed or removed. On a host where apt does not know the packages yet, it relies on
what is certain to come with some packages, including those of Proxmox VE and Ceph. Anything else that a package may contain is
unknown until it is installed.`,
	Example: `task "Proxmox repository" {
  apt {
    key {
      path           = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
      url            = "https://enterprise.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg"
      sha256         = "136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45"
      unless_package = "proxmox-archive-keyring"
    }
    repository {
      name       = "proxmox"
      uris       = ["http://download.proxmox.com/debian/pve"]
      suites     = ["trixie"]
      components = ["pve-no-subscription"]
      signed_by  = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
    }
  }
}

task "everything up to date" {
  apt {
    upgrade = "full"
  }
}

task "Proxmox VE" {
  apt {
    debconf  = { "postfix/main_mailer_type" = "select No configuration" }
    packages = ["proxmox-ve", "postfix", "open-iscsi", "chrony"]
  }
}

task "nginx 1.22" {
  apt {
    packages = ["nginx=1.22*", "nginx-common=1.22*"]
    hold     = true
  }
}

task "no enterprise repository" {
  apt {
    repository {
      name    = "pve-enterprise"
      enabled = false
    }
  }
}

task "no Debian kernel" {
  apt {
    packages   = ["linux-image-amd64", "linux-image-6.12*", "os-prober"]
    state      = "absent"
    autoremove = true
  }
}`,
	Packages: debian,
	Placed:   placed,
	New:      func() modules.Module { return &Module{} },
}
