play "Ceph" {
  hosts = "pve"

  task "G1.31 G2.4 install Ceph" {
    pveceph {
      install {
        version    = var.ceph_release
        repository = var.repository
      }
    }
    timeout = "30m"
  }

  task "G1.33 set Ceph's networks" {
    pveceph {
      init {
        network         = var.public_network
        cluster_network = var.cluster_network
      }
    }
  }

  task "G1.34 G2.6 create the monitors, one by one" {
    when = contains(slice(groups.pve, 0, min(var.monitors, length(groups.pve))), host.name)
    pveceph {
      mon {
        address = host.vars.ceph_address
      }
    }
  }

  task "G1.35 G2.6 create the managers" {
    pveceph {
      mgr {}
    }
  }

  task "G1.36 G2.8 create an OSD on each disk" {
    for_each = toset(host.vars.osd_devices)
    pveceph {
      osd {
        device    = each.value
        wipe      = host.vars.osd_wipe
        max_wiped = sum([for name in groups.pve : length(hosts[name].vars.osd_wipe)])
        max_moved = var.max_moved
      }
    }
    register = "osds"
  }
}
