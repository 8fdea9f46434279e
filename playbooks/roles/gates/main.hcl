# The cluster can do without this node for a while: the rest has a quorum, Ceph is healthy if there is any, and nothing else is under way.

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
  when = facts.ceph != null
  pveceph {
    health {}
  }
}

task "no node is in maintenance mode" {
  when = facts.ceph == null
  command {
    shell = <<-EOT
      status=/etc/pve/ha/manager_status
      [ -e $status ] || exit 0 # nothing is highly available
      nodes=$(grep -o '"[^"]*":"maintenance"' $status)
      case $? in 1) exit 0 ;; 0) echo "in maintenance mode: $nodes" >&2 ;; esac
      exit 1
    EOT
    reads = true
  }
}

task "all placement groups are active and clean" {
  when = facts.ceph != null
  pveceph {
    clean {}
  }
}
