play "repositories" {
  hosts = "pve"

  vars = {
    trixie  = facts.distribution.codename == "trixie"
    host    = var.repository == "enterprise" ? "https://enterprise.proxmox.com" : "http://download.proxmox.com"
    keyring = facts.distribution.codename == "trixie" ? "/usr/share/keyrings/proxmox-archive-keyring.gpg" : "/etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg"
    key = coalesce(var.release_key, facts.distribution.codename == "trixie" ? {
      url    = "https://enterprise.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg"
      sha256 = "136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45"
      } : {
      url    = "https://enterprise.proxmox.com/debian/proxmox-release-bookworm.gpg"
      sha256 = "13a87cec79f2d05f40f125629e4b509080a5c0286608bea273e36be9809ecaba"
    })
  }

  task "G1.4 install the release key" {
    apt {
      key {
        path   = vars.keyring
        url    = vars.key.url
        sha256 = vars.key.sha256
        # Once the package owns the file, its content may change.
        unless_package = "proxmox-archive-keyring"
      }
    }
  }

  task "G1.3 add the Proxmox VE repository" {
    apt {
      repository {
        name       = vars.trixie ? "proxmox" : "pve-install-repo"
        uris       = ["${vars.host}/debian/pve"]
        suites     = [facts.distribution.codename]
        components = ["pve-${var.repository}"]
        signed_by  = vars.keyring
      }
    }
  }

  # A host with Proxmox VE already has enterprise repositories, which answer 401 without a subscription.
  task "G1.10 disable enterprise repositories of an earlier installation" {
    when = var.repository != "enterprise"
    apt {
      disable_uris = ["https://enterprise.proxmox.com"]
    }
  }

  # Nodes may have guests, and hold each other's quorum: they are upgraded one after the other, bare hosts at once.
  task "G1.5 G2.1 full upgrade" {
    throttle = facts.pve == null ? null : 1
    timeout  = "1h"
    apt {
      update    = true
      upgrade   = "full"
      cache_age = "24h"
    }
  }
}
