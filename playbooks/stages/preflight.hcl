# Nothing is touched until these hold.

play "preflight" {
  hosts            = "pve"
  any_errors_fatal = true

  task "G1.1 Debian 12 or 13" {
    assert {
      condition {
        test    = contains(["bookworm", "trixie"], facts.distribution.codename)
        message = "Proxmox VE 8 needs Debian 12 (bookworm), Proxmox VE 9 Debian 13 (trixie); this is ${facts.distribution.pretty}"
      }
      condition {
        test    = facts.kernel.architecture == "x86_64"
        message = "Proxmox VE needs a 64-bit PC; this is ${facts.kernel.architecture}"
      }
    }
  }

  task "G1.34 an odd number of monitors, on hosts that exist" {
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

  task "G2.1 the same versions everywhere" {
    assert {
      same_packages = ["pve-manager", "proxmox-ve", "ceph-common"]
    }
  }

  task "G1.36 disks for OSDs are there, and blank or ours" {
    pveceph {
      disks {
        devices = host.vars.osd_devices
      }
    }
  }

  # Skipped with Ceph, and run with `--tags ceph` alone.
  task "G1.33 each host has an address for Ceph, and none is given twice" {
    tags = ["ceph"]
    assert {
      condition {
        test    = can(host.vars.ceph_address)
        message = "the inventory gives no ceph_address: set it in vars of host \"${host.name}\", to its address in ${var.public_network}"
      }
      condition {
        test    = length([for name in groups.pve : name if try(hosts[name].vars.ceph_address, name) == try(host.vars.ceph_address, "")]) <= 1
        message = "ceph_address ${try(host.vars.ceph_address, "")} is given to several hosts of group pve; each needs its own"
      }
    }
  }
}
