# G2.1: a running cluster with Proxmox VE 8 on Debian 12 is upgraded to Proxmox VE 9 on Debian 13, one node after the other, with no guest
# running on the node. The run stops at the first node on which anything is wrong. A further run continues where the last one ended:
# nodes that are done are left alone.
#
#   hlplay run playbooks/upgrade.hcl -i inventory                     first the newest 8.4; Ceph has to run squid
#   hlplay prove pve -i inventory                                     what the loss of one more node would do meanwhile
#   hlplay run playbooks/pve8-to-9.hcl -i inventory --check --diff    whether all nodes are ready, and which sources would be changed
#   hlplay run playbooks/pve8-to-9.hcl -i inventory
#
# Check mode reports everything after the change of the sources as uncertain, because apt does not know the packages of Debian 13 yet. The only
# way back is a backup. Guests move from 8 to 9, but not from 9 to 8.
#
# HA groups become rules by themselves once all nodes run 9. As in upgrade.hcl, handlers undo noout and maintenance mode whatever happens.

import "variables.hcl" {}
import "stages/pin.hcl" {}
import "stages/rolling.hcl" {}

variable "tries" {
  description = "How often to check, once all nodes run Proxmox VE 9, whether HA groups have become rules."
  type        = number
  default     = 90
}

variable "free_space" {
  description = "Free space, in GB, that the root file system of a node must have."
  type        = number
  default     = 10
}

locals {
  # The files in which Proxmox's packages and tools, and hlplay, name Proxmox's repositories.
  proxmox_sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/ceph.list", "/etc/apt/sources.list.d/ceph.sources", "/etc/apt/sources.list.d/proxmox.sources",
  "/etc/apt/sources.list.d/pve-enterprise.list", "/etc/apt/sources.list.d/pve-enterprise.sources", "/etc/apt/sources.list.d/pve-install-repo.list"]
}

# What is said of Proxmox VE 8 holds for a node on which the upgrade has not begun: facts.pve is null where it was interrupted.
play "every node is ready before any is touched" {
  hosts            = "pve"
  any_errors_fatal = true

  vars = {
    eight = facts.pve == null ? false : facts.pve.major == 8
  }

  task "Proxmox VE 8.4 or 9" {
    assert {
      condition {
        test    = facts.pve == null ? true : facts.pve.major == 9 || startswith(facts.pve.version, "8.4.")
        message = "${host.name} does not run Proxmox VE 8.4: upgrade it first, with playbooks/upgrade.hcl"
      }
    }
  }

  task "fetch the package index" {
    when = vars.eight
    apt {
      update = true
    }
  }

  task "which packages are to be upgraded before" {
    when = vars.eight
    command {
      shell = <<-EOT
        cd /etc/apt || exit
        # An earlier run may have changed the sources: what apt would upgrade then are the packages of Debian 13.
        if grep -qsE '^[^#]*[[:space:]]trixie' sources.list sources.list.d/*.list sources.list.d/*.sources; then exit 0; fi
        plan=$(LC_ALL=C apt-get -s -q full-upgrade) || exit
        printf '%s\n' "$plan" | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
      EOT
      reads = true
    }
    register = "pending"
  }

  task "which other files name Proxmox's repositories" {
    when = vars.eight
    command {
      shell = "grep -lsE '^[^#]*proxmox\\.com/debian/(pve|ceph-)' /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; [ $? -le 2 ]"
      reads = true
    }
    register = "sources"
  }

  task "how much space is free" {
    when = vars.eight
    command {
      argv  = ["df", "--output=avail", "--block-size=1", "/"]
      reads = true
    }
    register = "space"
  }

  task "which kernel is pinned" {
    when = vars.eight
    command {
      shell = "for pin in /etc/kernel/proxmox-boot-pin /etc/kernel/next-boot-pin; do if [ -e \"$pin\" ]; then cat \"$pin\" || exit; fi; done"
      reads = true
    }
    register = "pin"
  }

  task "which releases Ceph's daemons run" {
    when = vars.eight
    command {
      argv  = ["ceph", "versions", "--format", "json"]
      reads = true
    }
    register = "ceph"
  }

  task "the node can be upgraded" {
    when = vars.eight
    assert {
      condition {
        test    = result.pending.stdout == ""
        message = "${host.name} is not at the newest 8.4 (${join(", ", slice(split("\n", result.pending.stdout), 0, min(5, length(split("\n", result.pending.stdout)))))}): upgrade it first, with playbooks/upgrade.hcl"
      }
      condition {
        test    = length(setsubtract(compact(split("\n", result.sources.stdout)), local.proxmox_sources)) == 0
        message = "${host.name} names Proxmox's repositories in ${join(", ", setsubtract(compact(split("\n", result.sources.stdout)), local.proxmox_sources))}, which this playbook does not change: remove or disable them"
      }
      condition {
        test    = tonumber(reverse(split("\n", result.space.stdout))[0]) >= var.free_space * 1000000000
        message = "${host.name} has less than ${var.free_space} GB free on its root file system: make room (apt-get clean, old kernels)"
      }
      condition {
        test    = alltrue([for kernel in compact(split("\n", result.pin.stdout)) : can(regex("^(6\\.(1[4-9]|[2-9][0-9])|[7-9])\\.", kernel))])
        message = "${host.name} would go on booting the pinned kernel ${join(", ", compact(split("\n", result.pin.stdout)))}, which is older than Proxmox VE 9: release it (proxmox-boot-tool kernel unpin)"
      }
      condition {
        test    = alltrue([for version in keys(jsondecode(result.ceph.stdout).overall) : startswith(version, "ceph version 19.")])
        message = "Ceph has to run squid (19) before Proxmox VE is upgraded: ${join("; ", keys(jsondecode(result.ceph.stdout).overall))}"
      }
    }
  }

  task "Proxmox VE's own checklist has no failure" {
    when = vars.eight
    pve8to9 {}
  }

  # proxmox-ve needs the packages of its release: if it is configured, they are. The node runs their kernel once it was restarted.
  task "whether the node is done" {
    command {
      shell = <<-EOT
        is=$(dpkg-query -W -f '$${db:Status-Abbrev}$${Version}' proxmox-ve) || exit
        left=$(dpkg --audit) || exit
        oldest=$(printf '6.14\n%s\n' "$(uname -r)" | sort -V | head -n 1)
        case $is in 'ii 9.'*) if [ -z "$left" ] && [ "$oldest" = 6.14 ]; then echo done; fi ;; esac
      EOT
      reads = true
    }
    register = "state"
  }

  task "Ceph is healthy, and no node is in maintenance mode" {
    pveceph {
      health {}
    }
  }

  task "all placement groups are active and clean" {
    pveceph {
      clean {}
    }
  }
}

play "upgrade one node at a time" {
  hosts  = "pve"
  serial = 1

  vars = {
    host = var.repository == "enterprise" ? "https://enterprise.proxmox.com" : "http://download.proxmox.com"
    key  = local.release_keys.trixie
  }

  import "roles/gates" {}

  group "upgrade the node" {
    when = result.state.stdout != "done"

    import "roles/drain" {
      vars = { local_disks = var.local_disks, evacuation = var.evacuation, pause = var.pause }
    }

    # The sources of Proxmox VE 8 name another key, or none: they are replaced, and Debian's are changed where they stand.
    task "remove Proxmox's old sources" {
      file {
        path = "/etc/apt/sources.list"
        line {
          regexp = "^[^#]*proxmox\\.com/debian/(pve|ceph-[a-z]+)/?\\s+bookworm"
          state  = "absent"
        }
      }
    }

    task "change the sources to Debian 13" {
      allow = { no_subscription_removed = "another file names it for Debian 13", suite = "the host is about to run Debian 13" }
      apt {
        key {
          path   = vars.key.path
          url    = var.release_key == null ? vars.key.url : var.release_key.url
          sha256 = var.release_key == null ? vars.key.sha256 : var.release_key.sha256
          # That of Debian 13 owns the file, and may change it.
          unless_package = facts.distribution.codename == "trixie" ? "proxmox-archive-keyring" : ""
        }
        repository {
          name  = "pve-install-repo"
          state = "absent"
        }
        # Proxmox VE 9 brings this file, enabled, unless there is one.
        repository {
          name       = "pve-enterprise"
          format     = "deb822"
          uris       = ["https://enterprise.proxmox.com/debian/pve"]
          suites     = ["trixie"]
          components = ["pve-enterprise"]
          signed_by  = vars.key.path
          enabled    = var.repository == "enterprise"
        }
        repository {
          name       = "proxmox"
          format     = "deb822"
          uris       = ["http://download.proxmox.com/debian/pve"]
          suites     = ["trixie"]
          components = ["pve-no-subscription"]
          signed_by  = vars.key.path
          enabled    = var.repository == "no-subscription"
        }
        repository {
          name       = "ceph"
          format     = "deb822"
          uris       = ["${vars.host}/debian/ceph-squid"]
          suites     = ["trixie"]
          components = [var.repository]
          signed_by  = vars.key.path
        }
        release {
          from = "bookworm"
          to   = "trixie"
        }
        update = true
      }
    }

    task "which Proxmox VE the sources offer" {
      command {
        argv  = ["apt-cache", "policy", "proxmox-ve"]
        env   = { LC_ALL = "C" }
        reads = true
      }
      register = "offer"
    }

    task "what the upgrade would do" {
      command {
        argv  = ["apt-get", "--simulate", "full-upgrade"]
        env   = { LC_ALL = "C" }
        reads = true
      }
      register = "simulated"
    }

    # A source that stays with Debian 12 could keep Proxmox VE back, and the node would restart with half of each.
    task "the upgrade brings Proxmox VE 9" {
      assert {
        condition {
          test    = can(regex("Candidate: 9\\.", result.offer.stdout))
          message = "the sources of ${host.name} do not offer Proxmox VE 9: look at apt-cache policy proxmox-ve; no package was touched"
        }
        condition {
          test    = can(regex("Installed: 9\\.", result.offer.stdout)) || can(regex("(?m)^Inst proxmox-ve .*\\(9\\.", result.simulated.stdout))
          message = "apt would keep Proxmox VE back on ${host.name}: look at apt-get --simulate full-upgrade, and for sources that still name Debian 12; no package was touched"
        }
      }
    }

    # The files name the cards, and a host whose cards have other names after the restart is not reached any more.
    task "G2.1 keep the names of the network cards" {
      when = host.vars.network_pin
      network {
        pin = true
      }
    }

    task "G2.1 full upgrade" {
      apt {
        upgrade   = "full"
        cache_age = "24h"
      }
      timeout = "3h"
    }

    task "restart" {
      reboot {
        always  = true
        message = "hlplay: upgraded to Proxmox VE 9"
        limit   = "20m"
      }
    }

    task "the node runs Debian 13, Proxmox VE 9 and its kernel" {
      assert {
        condition {
          test    = facts.distribution.codename == "trixie"
          message = "${host.name} runs ${facts.distribution.pretty}: look at dpkg --audit and /var/log/apt/term.log"
        }
        condition {
          test    = facts.pve != null
          message = "pve-manager is not configured on ${host.name}: look at dpkg --audit"
        }
        condition {
          test    = facts.kernel.pve && can(regex("^(6\\.(1[4-9]|[2-9][0-9])|[7-9])\\.", facts.kernel.release))
          message = "${host.name} runs the kernel ${facts.kernel.release}: is an older one pinned (proxmox-boot-tool kernel list)?"
        }
      }
    }

    import "roles/rejoin" {}
  }
}

play "the cluster runs Proxmox VE 9" {
  hosts = "pve"

  task "G2.1 the same versions on all nodes" {
    assert {
      same_packages = ["pve-manager", "proxmox-ve", "ceph"]
      message       = "upgrade node by node: playbooks/upgrade.hcl"
    }
  }

  task "wait until HA groups have become rules" {
    command {
      shell = <<-EOT
        [ -e /etc/pve/.version ] || { echo "/etc/pve is not mounted: systemctl status pve-cluster" >&2; exit 1; }
        [ -e /etc/pve/ha/groups.cfg ] || exit 0
        grep '^group:' /etc/pve/ha/groups.cfg
        case $? in 0) ;; 1) exit 0 ;; *) exit 1 ;; esac # it cannot be asked
        echo "these are not rules yet: journalctl -u pve-ha-crm on the HA master says why" >&2
        exit 1
      EOT
      reads = true
    }
    retries = var.tries
    delay   = var.pause
  }
}
