# Nothing is changed until these checks pass.

host_variable "preflight_accept" {
  description = "Problems of the host that preflight ignores, such as nic: see hlplay doc preflight."
  type        = list(string)
  default     = []
}

play "preflight" {
  hosts            = "pve"
  any_errors_fatal = true

  vars = {
    osds      = sum([for name in groups.pve : length(hosts[name].vars.osd_devices)])
    osd_hosts = length([for name in groups.pve : name if length(hosts[name].vars.osd_devices) > 0])
    # The copies that the rule has room for if failure_domain is host, and the most that it may place on one host.
    osd_room    = sum([for name in groups.pve : min(length(hosts[name].vars.osd_devices), var.crush_rule.per_domain)])
    on_one_host = max([for name in groups.pve : var.crush_rule.failure_domain == "osd" ? length(hosts[name].vars.osd_devices) : min(length(hosts[name].vars.osd_devices), var.crush_rule.per_domain)]...)
  }

  # The table of `hlplay preflight`, as a gate. A node keeps its name forever; pools, rules and HA refer to it.
  task "G1.1 G1.2 G1.32 check that the hosts are fit for a cluster" {
    preflight {
      osds = length(host.vars.osd_devices)
      network "ceph" {
        addresses = { for name in groups.pve : name => hosts[name].vars.ceph_address }
      }
      # The name's resolution is written by the stage hosts.
      accept = concat(["resolution"], host.vars.preflight_accept)
    }
  }

  task "G1.34 check that there are enough hosts for the monitors" {
    run_once = true
    assert {
      condition {
        test    = length(groups.pve) >= var.monitors
        message = "${var.monitors} monitors need as many hosts; the inventory has ${length(groups.pve)} in group pve"
      }
      condition {
        test    = vote_threshold(length(groups.pve)) < length(groups.pve)
        message = "a cluster of ${length(groups.pve)} does not survive the loss of any node"
      }
    }
  }

  # The package ceph is the server: Proxmox VE comes with an older client.
  task "G2.1 check for the same versions on all hosts" {
    assert {
      same_packages = ["pve-manager", "proxmox-ve", "ceph"]
      message       = "bring all to the newest with --tags packages (Proxmox VE, node by node)"
    }
  }

  # None is in another cluster, a joining host has no guests and no Ceph of its own, and the founder takes part.
  task "G1.25 check that the hosts can form a cluster" {
    pvecm {
      cluster = var.cluster_name
      founder = groups.pve[0]
      link0   = host.address
      check {
        hosts = play.selected
      }
    }
  }

  task "G1.36 check that OSD disks exist, and are blank or ours" {
    pveceph {
      disks {
        devices   = host.vars.osd_devices
        wipe      = host.vars.osd_wipe
        max_wiped = sum([for name in groups.pve : length(hosts[name].vars.osd_wipe)])
      }
    }
  }

  # The following checks have the tags of what they guard, so that `--skip-tags ceph` skips them too.
  task "G1.33 check that each host has its own address for Ceph" {
    tags = ["ceph"]
    assert {
      condition {
        test    = host.vars.ceph_address != ""
        message = "the inventory gives no ceph_address: set it in vars of host \"${host.name}\", to its address in ${var.public_network}"
      }
      condition {
        test    = host.vars.ceph_address == "" || length([for name in groups.pve : name if hosts[name].vars.ceph_address == host.vars.ceph_address]) <= 1
        message = "ceph_address ${host.vars.ceph_address} is given to several hosts of group pve; each needs its own"
      }
      condition {
        test    = host.vars.ceph_address == "" ? true : cidrcontains(var.public_network, host.vars.ceph_address)
        message = "ceph_address ${host.vars.ceph_address} is no address in public_network ${var.public_network}"
      }
      condition {
        test    = host.vars.ceph_address == "" || contains(facts.addresses, host.vars.ceph_address)
        message = "ceph_address ${host.vars.ceph_address} is on no interface of the host: it has ${join(", ", facts.addresses)}"
      }
      condition {
        test    = anytrue([for a in facts.addresses : cidrcontains(var.cluster_network, a)])
        message = "the host has no address in cluster_network ${var.cluster_network}: it has ${join(", ", facts.addresses)}"
      }
    }
  }

  task "G1.31 check that Proxmox VE offers the release of Ceph" {
    tags = ["ceph"]
    pveceph {
      release {
        version = var.ceph_release
      }
    }
  }

  task "G1.46 G2.10 check that pools fit on the OSDs" {
    tags     = ["ceph"]
    run_once = true
    for_each = var.pools
    assert {
      condition {
        test    = each.value.size <= vars.osds
        message = "${each.value.size} copies need as many OSDs, and the inventory names ${vars.osds} disks (osd_devices): give a smaller size in pools, or more disks"
      }
      condition {
        test    = var.crush_rule.failure_domain != "host" || var.crush_rule.per_domain > 1 || each.value.size <= vars.osd_hosts
        message = "${each.value.size} copies on different hosts need as many hosts with OSDs, and there are ${vars.osd_hosts}: give a smaller size in pools, per_domain = 2 in crush_rule, or failure_domain osd"
      }
      condition {
        test    = var.crush_rule.per_domain == 1 || each.value.size <= vars.osd_room
        message = "${each.value.size} copies, at most ${var.crush_rule.per_domain} on a host, do not fit: there is room for ${vars.osd_room}; give a smaller size in pools, or more disks"
      }
      condition {
        test    = var.allow_shared_hosts || vars.on_one_host <= 1 || each.value.size - min(each.value.size, vars.on_one_host) >= each.value.min_size
        message = "${min(each.value.size, vars.on_one_host)} of ${each.value.size} copies may share a host, and ${each.value.min_size} are needed (min_size): the loss of one host could stop the pool; prefer crush_rule = { name = \"hosts_first\", failure_domain = \"host\", per_domain = ${ceil(each.value.size / max(1, vars.osd_hosts))} }, a larger size in pools, or accept it with allow_shared_hosts = true"
      }
    }
  }

  task "G1.46 warn of pools that the loss of one disk stops" {
    tags     = ["ceph"]
    run_once = true
    for_each = { for name, pool in var.pools : name => pool if pool.min_size == pool.size }
    debug {
      message = "pool ${each.key}: min_size ${each.value.min_size} of ${each.value.size} copies stops the pool as soon as one OSD is lost: prefer ${each.value.size == 2 ? "size = 3" : "min_size = ${each.value.size - 1}"}"
    }
  }

  task "G1.40 check that CephFS fits on the hosts" {
    tags     = ["ceph"]
    run_once = true
    when     = var.cephfs != ""
    assert {
      condition {
        test    = vars.osd_hosts >= 3
        message = "CephFS keeps three copies on different hosts, and ${vars.osd_hosts} have OSDs: give osd_devices on more hosts, or cephfs = \"\""
      }
    }
  }

  task "G1.50 check that preferred nodes exist" {
    tags     = ["ha"]
    run_once = true
    for_each = var.ha_resources
    assert {
      condition {
        test    = length(setsubtract(keys(each.value.nodes), groups.pve)) == 0
        message = "ha_resources names ${join(", ", setsubtract(keys(each.value.nodes), groups.pve))}, and group pve has ${join(", ", groups.pve)}"
      }
    }
  }
}
