# The cluster can do without this node for a while: the rest has a quorum, Ceph is healthy, and nothing else is under way.

task "the cluster has votes to spare for this node" {
  command {
    argv  = ["pvecm", "status"]
    reads = true
  }
  register = "votes"
}

task "the others have a quorum without this node" {
  assert {
    condition {
      test    = tonumber(regex("Total votes: +([0-9]+)", result.votes.stdout)[0]) > tonumber(regex("Quorum: +([0-9]+)", result.votes.stdout)[0])
      message = "without ${host.name} the cluster would have no quorum: bring the other nodes back first"
    }
  }
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
