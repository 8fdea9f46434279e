# The second guide: three servers that already are a Proxmox VE cluster give Ceph a slice of each disk. A pool keeps five copies there,
# the disks of running virtual machines are moved to it, and the machines become highly available.
#
#   hlplay run playbooks/stretched.hcl -i inventory --rehearse               on simulated nodes
#   hlplay run playbooks/stretched.hcl -i inventory -e @vars.hcl --check --diff
#   hlplay run playbooks/stretched.hcl -i inventory -e @vars.hcl --allow all
#
# The servers reach each other over a private network (G2.3; playbooks/overlay.hcl makes one) and have joined (playbooks/cluster.hcl
# --tags hosts,packages,cluster, or by hand). Slices are made in free space: what is on a disk is neither shrunk nor moved. A new
# partition destroys what a deleted one may have left there, hence --allow.
#
# Copies lie two on a host, two on the next and one on the third, by a rule that chooses hosts first and OSDs in each then. So any one
# host may be lost: three copies are left, as many as min_size asks for. With the guide's own rule, failure domain osd, nothing says
# how many copies share a host.

variable "ceph_release" {
  description = "Ceph's release, the same on all nodes."
  type        = string
  default     = "squid"
}

variable "network" {
  description = "The network between the servers, which is Ceph's public and cluster network."
  type        = string
  default     = "10.42.0.0/24"
}

variable "rule" {
  description = "Name of the CRUSH rule, which allows up to two copies per host."
  type        = string
  default     = "two-per-host"
}

variable "pool" {
  description = "The pool for guests' disks."
  type = object({
    name     = string
    size     = number
    min_size = number
  })
  default = { name = "ha-disks", size = 5, min_size = 3 }
}

variable "manager_pool" {
  description = "The pool of the managers. Ceph creates it with the first manager, with a rule that allows one copy per host; it gets the rule of the guests' pool."
  type        = string
  default     = ".mgr"
}

variable "max_moved" {
  description = "How much of the data may move to a new OSD, or when a pool changes, such as 80%. If empty, half of it; less than 1 GiB may always move."
  type        = string
  default     = ""
}

variable "settings" {
  description = "Settings in [global] of ceph.conf, read by daemons when they start."
  type        = map(string)
  default     = {}
}

variable "moved" {
  description = "Disks that move to the pool, by virtual machine: { \"100\" = [\"scsi0\"] }."
  type        = map(list(string))
  default     = {}
}

variable "ha_guests" {
  description = "Guests that become highly available, by service ID."
  type        = list(string)
  default     = []
}

host_variable "ceph_address" {
  description = "The host's own address in the network between the servers."
  type        = string
}

host_variable "slices" {
  description = "The partitions that become OSDs, by names that are unique on the host: { osd-a = { disk = \"/dev/disk/by-id/…\", size = \"1TiB\", class = \"ssd\" } }."
  type = map(object({
    disk  = string
    size  = string
    class = string
  }))
}

play "before anything is changed" {
  hosts            = "pve"
  any_errors_fatal = true

  task "G2.1 check for the same version of Proxmox VE on all nodes" {
    assert {
      same_packages = ["pve-manager", "proxmox-ve", "ceph"]
      message       = "bring all to the newest first: playbooks/upgrade.hcl"
    }
  }

  task "G2.10 check that there is room for the copies" {
    run_once = true
    assert {
      condition {
        test    = sum([for name in groups.pve : min(2, length(hosts[name].vars.slices))]) >= var.pool.size
        message = "${var.pool.size} copies, at most two on a host, need more slices than the inventory names"
      }
    }
  }
}

play "Ceph on slices of the disks" {
  hosts = "pve"

  task "G2.4 install Ceph" {
    pveceph {
      install {
        version = var.ceph_release
      }
    }
    timeout = "30m"
  }

  task "G2.4 set Ceph's networks" {
    pveceph {
      init {
        network = var.network
      }
    }
  }

  task "G2.6 create the monitors, one by one" {
    pveceph {
      mon {
        address = host.vars.ceph_address
      }
    }
  }

  task "G2.6 create the managers" {
    pveceph {
      mgr {}
    }
  }

  task "G2.5 set options in ceph.conf" {
    when = length(var.settings) > 0
    pveceph {
      conf {
        settings = var.settings
      }
    }
  }

  task "G2.7 create a partition on each disk" {
    for_each = host.vars.slices
    partition {
      disk = each.value.disk
      name = each.key
      size = each.value.size
    }
  }

  task "G2.8 create an OSD on each partition" {
    for_each = host.vars.slices
    pveceph {
      osd {
        device    = "/dev/disk/by-partlabel/${each.key}"
        class     = each.value.class
        max_moved = var.max_moved
      }
    }
  }

  task "G2.9 create a rule that chooses hosts first, then OSDs" {
    pveceph {
      rule {
        name           = var.rule
        failure_domain = "host"
        per_domain     = 2
      }
    }
  }

  task "G2.10 create the pool" {
    pveceph {
      pool {
        name       = var.pool.name
        size       = var.pool.size
        min_size   = var.pool.min_size
        crush_rule = var.rule
        pg_num     = pg_count(sum([for name in groups.pve : length(hosts[name].vars.slices)]), var.pool.size, 1)
        max_moved  = var.max_moved
      }
    }
  }

  task "G2.10 let the managers' pool survive the loss of a host" {
    pveceph {
      pool {
        name       = var.manager_pool
        size       = var.pool.size
        min_size   = var.pool.min_size
        crush_rule = var.rule
        max_moved  = var.max_moved
      }
    }
  }

  task "G2.10 add the pool as a storage" {
    pvesm {
      id      = var.pool.name
      type    = "rbd"
      pool    = var.pool.name
      content = ["images", "rootdir"]
    }
  }

  task "all placement groups are active and clean" {
    pveceph {
      clean {}
    }
  }
}

play "guests" {
  hosts = "pve"

  task "G2.14 move disks to Ceph" {
    for_each = var.moved
    qm {
      id   = tonumber(each.key)
      move = { for slot in each.value : slot => var.pool.name }
    }
  }

  task "G2.15 make guests highly available" {
    for_each = toset(var.ha_guests)
    ha {
      resource {
        sid          = each.key
        state        = "started"
        max_restart  = 1
        max_relocate = 1
      }
    }
  }
}
