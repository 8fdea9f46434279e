# The guides' Ceph stages against real Ceph, with features in between and afterwards that the guides do not use.
import "../../playbooks/variables.hcl" {}
import "../../playbooks/stages/ceph.hcl" {}

play "OSDs of a class" {
  hosts = "pve"

  task "an OSD of class hdd" {
    pveceph {
      osd {
        device = host.vars.slow_device
        class  = "hdd"
      }
    }
  }
}

import "../../playbooks/stages/pools.hcl" {}

play "beyond the guides" {
  hosts = "pve"

  task "rule for a device class" {
    pveceph {
      rule {
        name           = "slow_hosts"
        failure_domain = "host"
        device_class   = "hdd"
      }
    }
  }

  task "pool with every setting" {
    pveceph {
      pool {
        name         = "archive"
        size         = 3
        min_size     = 2
        pg_num       = 16
        pg_num_min   = 8
        crush_rule   = "slow_hosts"
        application  = "rgw"
        autoscale    = "off"
        target_ratio = 0.25
      }
    }
  }

  task "all is clean" {
    pveceph {
      clean {
        timeout = "5m"
      }
    }
  }
}
