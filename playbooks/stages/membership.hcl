play "form the cluster" {
  hosts = "pve"

  vars = {
    founder = groups.pve[0]
  }

  task "G1.26 create, G1.27 join one by one" {
    pvecm {
      cluster = var.cluster_name
      founder = vars.founder
      link0   = host.address
    }
    timeout = "10m"
  }

  # Asked again now that all have joined: the founder could not know them when its turn was.
  task "G1.28 membership as each node sees it" {
    pvecm {
      cluster = var.cluster_name
      founder = vars.founder
      link0   = host.address
    }
    register = "membership"
  }

  task "G1.28 G1.29 every node is there, and quorate" {
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
