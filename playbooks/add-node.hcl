# A node joins the running cluster. Add it to the inventory, as the last host of group pve, then:
#
#   hlplay preflight playbooks/add-node.hcl -i inventory                            whether the machine is fit for it
#   hlplay run playbooks/add-node.hcl -i inventory -e node=pve4 --check --diff      what would change, also on the other nodes
#   hlplay run playbooks/add-node.hcl -i inventory -e node=pve4
#
# Ceph has to be healthy before anything changes. Then cluster.hcl does the rest: it makes the node known to the others, installs
# Proxmox VE and Ceph, and makes it join. As soon as its OSDs exist, Ceph moves data from the others to them in the background, and
# the run waits for that. The plan says how much of the data each OSD gets. More than half for one OSD is refused, unless -e
# max_moved=… allows it.

variable "node" {
  description = "Name of the node that joins."
  type        = string
  validation {
    condition     = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", var.node))
    error_message = "Expected the name of one host."
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
