play "form the cluster" {
  hosts = "pve"

  vars = {
    founder = groups.pve[0]
  }

  # Proxmox VE has made the directory.
  task "keep keys of root outside of /etc/pve" {
    when = length(var.emergency_keys) > 0
    file {
      path    = "/root/.ssh/authorized_keys2"
      content = join("", [for key in var.emergency_keys : "${key}\n"])
      mode    = "0600"
    }
  }

  task "G1.26 G1.27 create the cluster, join one node at a time" {
    pvecm {
      cluster = var.cluster_name
      founder = vars.founder
      link0   = host.address
    }
    timeout = "10m"
  }

  # Read again now that all have joined: the founder's turn came before the others joined.
  task "G1.28 read the membership on each node" {
    pvecm {
      cluster = var.cluster_name
      founder = vars.founder
      link0   = host.address
    }
    register = "membership"
  }

  task "G1.28 G1.29 check that every node is a member, and quorate" {
    assert {
      condition {
        test    = result.membership.quorate
        message = "the cluster has no quorum as seen from ${host.name}"
      }
      condition {
        test    = length(setsubtract(groups.pve, result.membership.nodes)) == 0
        message = "not in the cluster: ${join(", ", setsubtract(groups.pve, result.membership.nodes))}"
      }
    }
  }
}
