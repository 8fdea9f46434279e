# Checks that a cluster is as it should be. It changes nothing and can be run at any time:
#
#   hlplay run playbooks/verify.hcl -i inventory

import "variables.hcl" {}

play "verify" {
  hosts = "pve"

  task "G2.1 the same versions on all nodes" {
    assert {
      same_packages = ["pve-manager", "proxmox-ve", "ceph"]
      message       = "upgrade node by node: playbooks/upgrade.hcl"
    }
  }

  task "G1.31 Ceph is installed where the inventory declares it" {
    when = host.vars.ceph_address != "" || length(host.vars.osd_devices) > 0
    assert {
      that    = [facts.ceph != null || alltrue([for name in groups.pve : hosts[name].facts.ceph == null])]
      message = "Ceph is not installed, but on other nodes, and the inventory has a ceph_address or osd_devices for this one: playbooks/cluster.hcl --tags ceph"
    }
  }

  task "G1.11 no unit has failed" {
    command {
      shell = "failed=$(systemctl list-units --state=failed --no-legend --plain) || exit; [ -z \"$failed\" ] || { printf '%s\\n' \"$failed\" >&2; exit 1; }"
      reads = true
    }
  }

  task "G1.12 the web interface answers" {
    http {
      url         = "https://${can(regex(":", host.address)) ? "[${host.address}]" : host.address}:8006/"
      from        = var.web_interface_from
      certificate = var.web_interface_from == "controller" ? ["/etc/pve/local/pveproxy-ssl.pem", "/etc/pve/local/pve-ssl.pem"] : []
      insecure    = var.web_interface_from == "host"
    }
  }

  # Packets as large as the MTU of the interface that has the address, which must not be fragmented on the way. The headers of IPv4
  # and ICMP have 28 bytes, those of IPv6 and ICMP 48.
  task "G1.17 packets of full size reach the others" {
    for_each = toset([for name in groups.pve : hosts[name].address if name != host.name])
    command {
      argv = ["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s",
        tostring(one([for i in values(facts.interfaces) : i.mtu if anytrue([for a in i.addresses : split("/", a)[0] == host.address])]) - (length(split(":", each.value)) > 1 ? 48 : 28)),
        each.value,
      ]
      reads = true
    }
  }

  task "G1.17 packets of full size reach the others over Ceph's network" {
    when     = host.vars.ceph_address != ""
    for_each = toset([for name in groups.pve : hosts[name].vars.ceph_address if name != host.name && hosts[name].vars.ceph_address != ""])
    command {
      argv = ["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s",
        tostring(one([for i in values(facts.interfaces) : i.mtu if anytrue([for a in i.addresses : split("/", a)[0] == host.vars.ceph_address])]) - (length(split(":", each.value)) > 1 ? 48 : 28)),
        each.value,
      ]
      reads = true
    }
  }
}
