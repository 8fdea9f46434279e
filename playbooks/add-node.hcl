# A node joins the living cluster. Add it to the inventory, as the last host of group pve, then:
#
#   hlplay preflight playbooks/add-node.hcl -i inventory                            whether the machine is fit for it
#   hlplay run playbooks/add-node.hcl -i inventory -e node=pve4 --check --diff      what would change, on the others too
#   hlplay run playbooks/add-node.hcl -i inventory -e node=pve4
#
# Ceph has to be healthy before anything changes. Then cluster.hcl does the rest: it makes the node known to the others, installs
# Proxmox VE and Ceph, and lets it join. Its OSDs take over data from the others as soon as they exist; Ceph does that in the
# background, and the run waits for it.

variable "node" {
  description = "Name of the node that joins."
  type        = string
  validation {
    condition     = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", var.node))
    error_message = "Give the name of one host."
  }
}

play "Ceph is healthy" {
  hosts            = "pve:!${var.node}"
  any_errors_fatal = true

  task "G1.37 G1.38 G1.39 nothing is down, out or nearly full" {
    pveceph {
      health {}
    }
  }

  task "G1.37 all placement groups are active and clean" {
    pveceph {
      clean {}
    }
  }
}

import "cluster.hcl" {}
