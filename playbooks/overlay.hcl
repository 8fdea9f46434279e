# A network of their own between hosts that reach each other over the internet or over different sites: WireGuard, each host a peer of every
# other one. A cluster can be put on it afterwards, if it is fast enough for one.
#
#   hlplay rehearse playbooks/overlay.hcl -i inventory
#   hlplay run playbooks/overlay.hcl -i inventory --check --diff
#   hlplay run playbooks/overlay.hcl -i inventory
#
# A host's inventory gives its address in the network:
#
#   vars = { overlay_address = "10.42.0.1/24" }
#
# and overlay_endpoint, if the other hosts reach it under another address than the controller does; "" is for a host behind NAT. Each
# firewall on the way lets the port in, by UDP. The keys are made on the hosts and stay there.

host_variable "overlay_address" {
  description = "The host's address in the overlay network, with the prefix length: 10.42.0.1/24."
  type        = string
  hosts       = var.overlay_hosts
}

host_variable "overlay_endpoint" {
  description = "The address under which the other hosts reach this one; by default the one in the inventory. Empty for a host that cannot be reached, as behind NAT."
  type        = string
  default     = null
}

variable "overlay_hosts" {
  description = "Pattern of the hosts in the overlay network."
  type        = string
  default     = "pve"
}

variable "overlay_interface" {
  description = "Name of its interface."
  type        = string
  default     = "wg0"
}

variable "overlay_port" {
  description = "The UDP port, the same on all hosts."
  type        = number
  default     = 51820
}

variable "overlay_mtu" {
  description = "The largest packet within the network, in bytes: 80 less than what fits on the way between the hosts."
  type        = number
  default     = 1420
}

variable "overlay_latency" {
  description = "The longest round trip between two hosts, in milliseconds. Corosync, and with it a cluster, asks for less than 5; a network that no cluster is put on may be slower."
  type        = number
  default     = 5
}

play "overlay network" {
  hosts            = var.overlay_hosts
  any_errors_fatal = true

  vars = {
    addresses = { for name in play.hosts : name => hosts[name].vars.overlay_address }
    endpoints = { for name in play.hosts : name => hosts[name].vars.overlay_endpoint == null ? hosts[name].address : hosts[name].vars.overlay_endpoint }
    others    = { for name in play.hosts : name => split("/", hosts[name].vars.overlay_address)[0] if name != host.name }
  }

  task "G2.3 install WireGuard" {
    apt {
      packages = ["wireguard-tools"]
    }
  }

  task "G2.3 make each host's key" {
    wireguard {
      interface = var.overlay_interface
    }
  }

  task "G2.3 connect every host with every other one" {
    wireguard {
      interface = var.overlay_interface
      addresses = vars.addresses
      endpoints = { for name, at in vars.endpoints : name => at if at != "" }
      port      = var.overlay_port
      mtu       = var.overlay_mtu
      before    = ["corosync.service", "pve-cluster.service", "ceph.target"]
    }
  }

  task "G2.3 start the network, now and at boot" {
    service {
      name          = "wg-quick@${var.overlay_interface}"
      enabled       = true
      state         = "started"
      daemon_reload = true
    }
  }

  # The first packets bring the keys together, and packets of full size show that the MTU fits. The others may
  # still be starting theirs.
  task "G2.3 reach every other host" {
    for_each = vars.others
    command {
      argv  = ["ping", "-n", "-q", "-c", "10", "-i", "0.2", "-W", "2", "-M", "do", "-s", tostring(var.overlay_mtu - (length(split(":", each.value)) > 1 ? 48 : 28)), each.value]
      reads = true
    }
    retries  = 5
    delay    = "2s"
    register = "trips"
  }

  task "G2.3 check that the round trips are short enough" {
    for_each = vars.others
    assert {
      condition {
        test    = tonumber(regex("= [0-9.]+/([0-9.]+)/", result.trips.items[each.key].stdout)[0]) <= var.overlay_latency
        message = "a round trip from ${host.name} to ${each.key} takes ${regex("= [0-9.]+/([0-9.]+)/", result.trips.items[each.key].stdout)[0]} ms on average, and at most ${var.overlay_latency} are allowed: no cluster is stable on it; if none is put there, give -e overlay_latency=…"
      }
    }
  }
}
