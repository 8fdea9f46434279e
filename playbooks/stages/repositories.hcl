play "repositories" {
  hosts = "pve"

  vars = {
    trixie = facts.distribution.codename == "trixie"
    host   = var.repository == "enterprise" ? "https://enterprise.proxmox.com" : "http://download.proxmox.com"
    key    = local.release_keys[facts.distribution.codename]
  }

  task "G1.4 install the release key" {
    apt {
      key {
        path   = vars.key.path
        url    = var.release_key == null ? vars.key.url : var.release_key.url
        sha256 = var.release_key == null ? vars.key.sha256 : var.release_key.sha256
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
        signed_by  = vars.key.path
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
