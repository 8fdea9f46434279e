# A private network between hosts that reach each other over the internet or are at different sites: WireGuard, in which each host is a
# peer of every other one, or Nebula, in which each host has a certificate. A cluster can use it afterwards, if it is fast enough.
#
#   hlplay rehearse playbooks/overlay.hcl -i inventory
#   hlplay run playbooks/overlay.hcl -i inventory --check --diff
#   hlplay run playbooks/overlay.hcl -i inventory
#
# The inventory sets each host's address in the network:
#
#   vars = { overlay_address = "10.42.0.1/24" }
#
# and overlay_endpoint, if the other hosts reach it at another address than the controller does; "" is for a host behind NAT. Each
# firewall on the path must admit the UDP port. The keys are generated on the hosts and stay there.
#
# For Nebula, create an authority once, and pass it to each run. The file contains its certificate in clear text and its key encrypted
# for the recipients of the repository; the key is decrypted in memory only. Run the playbook at least every three months
# (overlay_renew_before): certificates that end by then are renewed.
#
#   hlplay secret nebula-ca NAME -o nebula.hcl
#   hlplay run playbooks/overlay.hcl -i inventory -e overlay=nebula -e @nebula.hcl
#
# To replace it, create another one in a new file. Run with both certificates in nebula_ca, then with the new nebula_ca_key as well, and
# then with the new file alone.
#
# With Nebula, all hosts of the network may open connections to each other, unless overlay_allow says who may. Only pings are always
# answered, so a cluster's hosts need a rule for each other; the groups are those of overlay_groups in the inventory:
#
#   overlay_allow = [{ groups = ["cluster"] }, { protocol = "tcp", port = "22", hosts = ["admin"] }]

host_variable "overlay_address" {
  description = "The host's address in the overlay network, with the prefix length: 10.42.0.1/24."
  type        = string
  hosts       = var.overlay_hosts
}

host_variable "overlay_endpoint" {
  description = "The address at which the other hosts reach this one; by default that of the inventory. Empty for a host that cannot be reached, such as one behind NAT."
  type        = string
  default     = null
}

host_variable "overlay_groups" {
  description = "With Nebula, groups in the host's certificate, for overlay_allow."
  type        = list(string)
  default     = []
  hosts       = var.overlay_hosts
}

variable "overlay_hosts" {
  description = "Pattern of the hosts in the overlay network."
  type        = string
  default     = "pve"
}

variable "overlay" {
  description = "The software of the network: wireguard or nebula."
  type        = string
  default     = "wireguard"
  validation {
    condition     = contains(["wireguard", "nebula"], var.overlay)
    error_message = "wireguard or nebula."
  }
}

variable "overlay_interface" {
  description = "Name of its interface; by default wg0, or nebula1 with Nebula."
  type        = string
  default     = null
}

variable "overlay_port" {
  description = "The UDP port, the same on all hosts; by default 51820, or 4242 with Nebula."
  type        = number
  default     = null
}

variable "overlay_mtu" {
  description = "The MTU of the overlay network in bytes, 80 less than that of the path between the hosts; by default 1420, or 1300 with Nebula."
  type        = number
  default     = null
}

variable "overlay_lighthouses" {
  description = "With Nebula, hosts that tell the others where a host behind NAT can be reached; by default all that can be reached themselves."
  type        = list(string)
  default     = null
}

variable "overlay_lifetime" {
  description = "With Nebula, the lifetime of a certificate: a year."
  type        = string
  default     = "8760h"
}

variable "overlay_renew_before" {
  description = "With Nebula, a certificate is renewed when less than this is left of its lifetime: three months."
  type        = string
  default     = "2160h"
}

variable "overlay_allow" {
  description = "With Nebula, who may open connections to the hosts; by default all hosts of the network. protocol is any, tcp, udp or icmp; port is a port, a range or any; hosts are names in the inventory; with groups, a host must be in all of them."
  type = list(object({
    protocol = optional(string, "any")
    port     = optional(string, "any")
    hosts    = optional(list(string))
    groups   = optional(list(string))
  }))
  default = []
}

variable "overlay_blocklist" {
  description = "With Nebula, fingerprints of certificates that are no longer accepted, as nebula-cert print shows them."
  type        = list(string)
  default     = []
}

variable "nebula_ca" {
  description = "With Nebula, the certificate of the authority, or several."
  type        = string
  default     = ""
}

variable "nebula_ca_key" {
  description = "With Nebula, the private key of the authority."
  type        = string
  default     = ""
  sensitive   = true
}

variable "overlay_latency" {
  description = "The longest round trip between two hosts, in milliseconds. Corosync, and so a cluster, needs less than 5; a network without a cluster may be slower."
  type        = number
  default     = 5
}

locals {
  nebula    = var.overlay == "nebula"
  interface = coalesce(var.overlay_interface, local.nebula ? "nebula1" : "wg0")
  port      = coalesce(var.overlay_port, local.nebula ? 4242 : 51820)
  mtu       = coalesce(var.overlay_mtu, local.nebula ? 1300 : 1420)
}

play "overlay network" {
  hosts            = var.overlay_hosts
  any_errors_fatal = true

  vars = {
    addresses = { for name in play.hosts : name => hosts[name].vars.overlay_address }
    endpoints = { for name in play.hosts : name => hosts[name].vars.overlay_endpoint == null ? hosts[name].address : hosts[name].vars.overlay_endpoint }
    others    = { for name in play.hosts : name => split("/", hosts[name].vars.overlay_address)[0] if name != host.name }
  }

  task "G2.3 install WireGuard or Nebula" {
    apt {
      packages = [local.nebula ? "nebula" : "wireguard-tools"]
    }
  }

  task "G2.3 make each host's key" {
    when = !local.nebula
    wireguard {
      interface = local.interface
    }
  }

  task "G2.3 connect every host with every other one" {
    when = !local.nebula
    wireguard {
      interface = local.interface
      addresses = vars.addresses
      endpoints = { for name, at in vars.endpoints : name => at if at != "" }
      port      = local.port
      mtu       = local.mtu
      before    = ["corosync.service", "pve-cluster.service", "ceph.target"]
    }
  }

  task "G2.3 make each host's key for Nebula" {
    when = local.nebula
    nebula {
      interface = local.interface
    }
  }

  task "G2.3 sign each host's certificate, and connect the hosts by Nebula" {
    when = local.nebula
    nebula {
      interface    = local.interface
      addresses    = vars.addresses
      endpoints    = { for name, at in vars.endpoints : name => at if at != "" }
      lighthouses  = coalesce(var.overlay_lighthouses, [for name, at in vars.endpoints : name if at != ""])
      port         = local.port
      mtu          = local.mtu
      ca           = var.nebula_ca
      ca_key       = var.nebula_ca_key
      lifetime     = var.overlay_lifetime
      renew_before = var.overlay_renew_before
      groups       = host.vars.overlay_groups
      rules        = var.overlay_allow
      blocklist    = var.overlay_blocklist
      before       = ["corosync.service", "pve-cluster.service", "ceph.target"]
    }
  }

  task "G2.3 start the network, now and at boot" {
    service {
      name          = "${local.nebula ? "nebula" : "wg-quick"}@${local.interface}"
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
      argv  = ["ping", "-n", "-q", "-c", "10", "-i", "0.2", "-W", "2", "-M", "do", "-s", tostring(local.mtu - (length(split(":", each.value)) > 1 ? 48 : 28)), each.value]
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
