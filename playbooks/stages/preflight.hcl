# Nothing is changed until these checks pass.

host_variable "preflight_accept" {
  description = "What may be wrong with the host in the table of hlplay preflight, such as nic: see hlplay doc preflight."
  type        = list(string)
  default     = []
}

play "preflight" {
  hosts            = "pve"
  any_errors_fatal = true

  vars = {
    osds      = sum([for name in groups.pve : length(hosts[name].vars.osd_devices)])
    osd_hosts = length([for name in groups.pve : name if length(hosts[name].vars.osd_devices) > 0])
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
        max_wiped = length(host.vars.osd_wipe)
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
        test    = var.crush_rule.failure_domain != "host" || each.value.size <= vars.osd_hosts
        message = "${each.value.size} copies on different hosts need as many hosts with OSDs, and there are ${vars.osd_hosts}: give a smaller size in pools, or failure_domain osd in crush_rule"
      }
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
