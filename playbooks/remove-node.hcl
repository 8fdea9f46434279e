# G1.30: a node leaves the cluster, in two runs with a manual step in between:
#
#   hlplay prove pve -i inventory                                                  what is left to lose afterwards
#   hlplay run playbooks/remove-node.hcl -i inventory -e node=pve4 --tags leave    while it is on: it leaves Ceph
#   switch it off for good, and erase its disks before it ever starts again
#   hlplay run playbooks/remove-node.hcl -i inventory -e node=pve4 --tags remove --allow all   the others forget it
#
# The first run moves its guests to other nodes; it stays in maintenance mode, so that none comes back. Its OSDs must be destroyed one
# after the other before (replace-disk.hcl --tags remove): the second run is refused while they are there.
# A node that is lost and cannot leave Ceph by itself is removed by the second run alone, which says what has to be done first.

variable "node" {
  description = "Name of the node that leaves."
  type        = string
}

variable "local_disks" {
  description = "Copy disks on local storages to the nodes that the guests move to."
  type        = bool
  default     = false
}

play "leave Ceph" {
  hosts = var.node

  task "G1.30 move its guests away" {
    tags = ["leave"]
    evacuate {
      local_disks = var.local_disks
      stopped     = true
    }
    timeout = "12h"
  }

  task "all placement groups are active and clean" {
    tags = ["leave"]
    pveceph {
      clean {}
    }
  }

  task "destroy the metadata server" {
    tags = ["leave"]
    command {
      argv    = ["pveceph", "mds", "destroy", host.name]
      removes = "/var/lib/ceph/mds/ceph-${host.name}"
    }
  }

  task "destroy the manager" {
    tags = ["leave"]
    command {
      argv    = ["pveceph", "mgr", "destroy", host.name]
      removes = "/var/lib/ceph/mgr/ceph-${host.name}"
    }
  }

  task "destroy the monitor" {
    tags = ["leave"]
    command {
      argv    = ["pveceph", "mon", "destroy", host.name]
      removes = "/var/lib/ceph/mon/ceph-${host.name}"
    }
  }
}

play "forget the node" {
  hosts = "pve:!${var.node}"

  task "G1.30 remove the node" {
    tags = ["remove"]
    pvecm {
      remove {
        node = var.node
      }
    }
    register = "cluster"
  }

  task "G1.30 check that the others have a quorum" {
    tags = ["remove"]
    assert {
      condition {
        test    = result.cluster.quorate && !contains(result.cluster.nodes, var.node)
        message = "the cluster has no quorum as seen from ${host.name}, or still lists ${var.node}"
      }
    }
  }
}
