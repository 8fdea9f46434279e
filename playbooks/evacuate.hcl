# G2.2: all guests leave a node, before its disks are repartitioned or the machine is opened. If any of them cannot move, none does.
#
#   hlplay prove pve -i inventory                                              what the loss of one more node would do meanwhile
#   hlplay run playbooks/evacuate.hcl -i inventory -e node=pve1 --check        which guest would move, and to which node
#   hlplay run playbooks/evacuate.hcl -i inventory -e node=pve1
#
# Afterwards, highly available guests come back when the node leaves maintenance mode. Migrate the others back yourself:
#
#   hlplay do pve1 -i inventory -- ha-manager crm-command node-maintenance disable pve1

variable "node" {
  description = "Name of the node that the guests leave."
  type        = string
}

variable "local_disks" {
  description = "Also copy disks on local storages to the node that the guest moves to."
  type        = bool
  default     = false
}

variable "stopped" {
  description = "Also move stopped guests."
  type        = bool
  default     = false
}

play "evacuate a node" {
  hosts = var.node

  task "G2.2 move all guests to other nodes" {
    evacuate {
      local_disks = var.local_disks
      stopped     = var.stopped
    }
    timeout = "12h"
  }
}
