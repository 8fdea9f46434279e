# A QDevice: an additional vote for a cluster with an even number of nodes, from a host outside of it. Two nodes then survive the loss of one.
#
#   hlplay prove pve -i inventory                                        what it would change
#   hlplay run playbooks/qdevice.hcl -i inventory
#   hlplay run playbooks/qdevice.hcl -i inventory -e state=absent        before a node joins or leaves
#
# The host needs no Proxmox VE, only Debian and a network that does not fail together with that of the nodes. Root's key of one node is
# authorised there for the exchange of certificates. Its vote counts only while it runs: watch corosync-qnetd.service like a node.

variable "witness" {
  description = "Inventory name of the host that votes."
  type        = string
  default     = "witness"
}

variable "state" {
  description = "present, or absent: the cluster has no QDevice."
  type        = string
  default     = "present"
  validation {
    condition     = contains(["present", "absent"], var.state)
    error_message = "Expected present or absent."
  }
}

play "the host that votes" {
  hosts = var.state == "present" ? var.witness : "all:!all" # removing the QDevice needs nothing from it, and it may be gone

  task "install the server of the QDevice" {
    apt {
      packages  = ["corosync-qnetd"]
      update    = true
      cache_age = "1h"
    }
  }
}

play "the nodes" {
  hosts = "pve"

  task "install the client of the QDevice" {
    when = var.state == "present"
    apt {
      packages  = ["corosync-qdevice"]
      update    = true
      cache_age = "1h"
    }
  }

  task "set up the QDevice, or remove it" {
    pvecm {
      qdevice {
        host    = var.state == "present" ? var.witness : null
        address = var.state == "present" ? hosts[var.witness].address : null
        state   = var.state
      }
    }
    register = "cluster"
  }

  task "check that the cluster has a quorum" {
    assert {
      condition {
        test    = result.cluster.quorate
        message = "the cluster has no quorum as seen from ${host.name}"
      }
    }
  }
}
