# G1.5 G2.1: a running cluster is upgraded, one node after the other. A node is restarted only if necessary, with no guest running on it.
# The run stops at the first node on which anything is wrong.
#
#   hlplay prove pve -i inventory                                   what the loss of one more node would do meanwhile
#   hlplay run playbooks/upgrade.hcl -i inventory --check --diff    what would be upgraded
#   hlplay run playbooks/upgrade.hcl -i inventory
#
# For a restart, noout is set for the OSDs of the node and the node is evacuated: maintenance mode moves highly available guests away,
# and others are migrated to where there is memory for them; those stay there. Handlers undo noout and maintenance mode. A handler that
# is due is never lost: a node that failed, or a run that was killed, has them undone when the host is reached next, before the next run
# judges anything.

import "stages/pin.hcl" {}
import "stages/rolling.hcl" {}

variable "index_age" {
  description = "Maximum age of a node's package index. An older one is fetched again."
  type        = string
  default     = "1h"
}

play "upgrade one node at a time" {
  hosts  = "pve"
  serial = 1

  import "roles/gates" {}

  task "fetch the package index" {
    apt {
      update    = true
      cache_age = var.index_age
    }
  }

  # As pve8-to-9.hcl leaves the sources when it stops behind their change: the upgrade to another release has gates of its own.
  task "which Debian release the sources offer" {
    command {
      argv  = ["apt-cache", "policy", "base-files"]
      env   = { LC_ALL = "C" }
      reads = true
    }
    register = "base"
  }

  task "the sources offer the release that the node runs" {
    assert {
      condition {
        test    = can(regex("Candidate: ${facts.distribution.version}\\.", result.base.stdout))
        message = "the sources of ${host.name} do not offer Debian ${facts.distribution.version}, which it runs: finish the upgrade from Proxmox VE 8 with playbooks/pve8-to-9.hcl, or look at apt-cache policy base-files"
      }
    }
  }

  # The files name the cards, and a host whose cards have other names after the restart is not reached any more.
  task "G1.6 keep the names of the network cards" {
    when = host.vars.network_pin
    network {
      pin = true
    }
  }

  task "G1.5 G2.1 full upgrade" {
    apt {
      upgrade   = "full"
      cache_age = "24h"
    }
    timeout = "1h"
  }

  # Proxmox's kernels leave no /run/reboot-required: what is to boot, the pinned kernel (proxmox-boot-tool kernel pin) or else the newest
  # that is installed, is compared with what runs.
  task "whether the node has to be restarted" {
    command {
      shell = <<-EOT
        pin=/etc/kernel/proxmox-boot-pin
        if [ -e "$pin" ]; then
          boots=$(cat "$pin") || exit
        else
          all=$(cd /boot && ls vmlinuz-*-pve) || exit
          boots=$(printf '%s\n' "$all" | sort -V | tail -n 1)
        fi
        if [ -e /run/reboot-required ] || [ "$${boots#vmlinuz-}" != "$(uname -r)" ]; then echo restart; fi
      EOT
      reads = true
    }
    register = "kernel"
  }

  group "restart the node" {
    when = result.kernel.stdout == "restart"

    import "roles/drain" {
      vars = { local_disks = var.local_disks, evacuation = var.evacuation, pause = var.pause }
    }

    task "restart" {
      reboot {
        always  = true
        message = "hlplay: upgraded"
        limit   = "20m"
      }
    }

    import "roles/rejoin" {}
  }
}
