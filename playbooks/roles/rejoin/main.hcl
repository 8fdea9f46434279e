# Waits, after the reboot of a node, until Ceph has caught up with what was written meanwhile. The module reboot itself waits for the node's
# services and for a quorum.

task "all placement groups are active and clean again" {
  when = facts.ceph != null
  pveceph {
    clean {
      timeout = "30m"
    }
  }
}
