# G1.52 G2.16: a node is taken down on purpose, and its highly available guests are recovered on another one.
#
#   hlplay prove pve -i inventory                                              what its loss would do
#   hlplay run playbooks/drill.hcl -i inventory -e node=pve1 --check           whether the drill is refused
#   hlplay run playbooks/drill.hcl -i inventory -e node=pve1
#
# corosync and Ceph's daemons are stopped on the node, and a timer on the node starts them again, whatever happens to this run. The
# watchdog resets a node with highly available guests after a minute, as if a cable were pulled: its guests are killed.

variable "node" {
  description = "The node to lose."
  type        = string
}

variable "guests" {
  description = "The highly available guests that must run elsewhere in time; if empty, all of the node."
  type        = list(string)
  default     = []
}

variable "within" {
  description = "How long that may take."
  type        = string
  default     = "4m"
}

variable "away" {
  description = "When the node's own timer brings it back."
  type        = string
  default     = "6m"
}

play "drill" {
  hosts = "pve:!${var.node}"

  task "G1.37 check the cluster's health first" {
    pveceph {
      health {}
    }
  }

  task "G1.52 G2.16 lose the node" {
    drill {
      lose   = var.node
      guests = var.guests
      within = var.within
      away   = var.away
    }
    timeout = "2h"
  }

  task "G1.37 all placement groups are active and clean" {
    pveceph {
      clean {
        timeout = "30m"
      }
    }
  }
}
