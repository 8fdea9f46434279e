package apt

import "hlplay/modules"

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "apt",
	Aliases: []string{"package", "yum", "dnf", "apt_repository", "apt_key", "deb822_repository", "dpkg_selections"},
	Summary: "Debian packages, and the repositories, keys and answers they need",
	Doc: `Installs, upgrades and removes packages, keeps repositories and their keys, and answers packages' questions in advance.
What one task asks for is done in this order: keys, repositories, release, package index, answers, packages, upgrade, autoremove.

apt never asks: configuration files that somebody edited are kept, the others follow the package. While another process
uses the package manager the task waits, for at most lock_timeout, and then says which process it is.

The package index is fetched when something is to be installed and a source or a key changed since it was last fetched,
or when update or upgrade ask for an index no older than cache_age. Fetching it does not count as a change.

A package may be asked for in a version, as of apt-get: nginx=1.22.1-9+deb12u1, or nginx=1.22* for whatever begins so, of
which the newest is installed. If the installed version is one of those it is left alone, or with state = "latest" brought to
the newest of them. The version counts with its epoch. Nothing is downgraded unless allow_downgrade is set. An upgrade
replaces the version again if it may: hold = true prevents that, and so does a pin in a file below /etc/apt/preferences.d,
which apt's choice of versions follows here too. A dependency that must have the same version is named beside the package.
A virtual package is not installed: the error names the packages that provide it.

The kernel that runs is never removed. A task that would take a protected package away, such as proxmox-ve, is refused, and the
apt hook that protects it on the host is left alone.

A repository is one file of /etc/apt/sources.list.d. It is compared by what it means, so a file that somebody formatted
otherwise is left alone; one that another file defines already is not written again; one that another file defines with
another signed-by is an error, because apt then refuses to work at all. enabled = false without uris disables a file
that a package brought, such as pve-enterprise.sources: it survives upgrades, unlike a deletion.

release changes the suites of all enabled sources from one Debian release to another (bookworm-security to trixie-security), for an
upgrade = "full" to that release. A source that does not have it makes the next fetch of the index fail, before any package is touched.

A key is verified against its checksum before it is put where apt looks.

Check mode asks apt what else would be installed and removed. On a bare host, where apt does not know the packages yet, it
knows what some packages surely bring, those of Proxmox VE and Ceph among them. Whatever else may come with a package is
unknown until it is there.`,
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
