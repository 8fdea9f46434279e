play "pools and file system" {
  hosts = "pve"

  vars = {
    osds = sum([for name in groups.pve : length(try(hosts[name].vars.osd_devices, []))])
    # The pools share the OSDs' placement groups; CephFS takes a small share of them.
    pools = length(var.pools) + (var.cephfs == "" ? 0 : 1)
  }

  task "G1.47 G2.9 create the CRUSH rule" {
    pveceph {
      rule {
        name           = var.crush_rule.name
        failure_domain = var.crush_rule.failure_domain
        per_domain     = var.crush_rule.per_domain
      }
    }
  }

  task "G1.46 G2.10 create the pools" {
    for_each = var.pools
    pveceph {
      pool {
        name       = each.key
        size       = each.value.size
        min_size   = each.value.min_size
        crush_rule = var.crush_rule.name
        pg_num     = pg_count(vars.osds, each.value.size, vars.pools, var.pgs_per_osd)
        max_moved  = var.max_moved
      }
    }
  }

  task "G1.46 add the pools as storages" {
    for_each = var.pools
    pvesm {
      id      = each.key
      type    = "rbd"
      pool    = each.key
      content = ["images", "rootdir"]
    }
  }

  task "G1.40 G2.11 create the metadata servers, one by one" {
    when = var.cephfs != ""
    pveceph {
      mds {}
    }
  }

  task "G1.40 G2.11 create CephFS" {
    when = var.cephfs != ""
    pveceph {
      fs {
        name   = var.cephfs
        pg_num = 32
      }
    }
  }

  task "G1.40 add CephFS as a storage" {
    when = var.cephfs != ""
    pvesm {
      id      = var.cephfs
      type    = "cephfs"
      content = ["backup", "iso", "vztmpl"]
    }
  }

  task "G1.37 all placement groups are active and clean" {
    pveceph {
      clean {}
    }
  }
}
