# G1.13–G1.17: the guests' bridge on a network card, or on a bond of several. Hosts without network_ports in the inventory are left
# alone. The stage can be run separately:
#
#   hlplay run playbooks/stages/network.hcl -i inventory --check --diff
#   hlplay run playbooks/stages/network.hcl -i inventory
#
# In the inventory: vars = { network_ports = ["ens18", "ens19"], network_gateway = "192.168.1.1", network_mtu = 9000 }

import "pin.hcl" {}

host_variable "network_ports" {
  description = "The network cards below vmbr0: one, or several as a bond. Empty leaves the network alone."
  type        = list(string)
  default     = []
}

host_variable "network_prefix" {
  description = "Prefix length of the subnet of the host's address."
  type        = number
  default     = 24
}

host_variable "network_gateway" {
  description = "The gateway of the IPv4 default route; \"\" leaves the present one."
  type        = string
  default     = ""
}

host_variable "network_mtu" {
  description = "The MTU of cards, bond and bridge; all switches between the hosts must carry it."
  type        = number
  default     = 1500
}

play "network" {
  hosts = "pve"

  task "G1.14 G1.16 G1.17 bridge on a network card" {
    when = length(host.vars.network_ports) == 1
    network {
      bridge "vmbr0" {
        ports       = host.vars.network_ports
        address     = "${host.address}/${host.vars.network_prefix}"
        gateway     = host.vars.network_gateway
        gateway_mtu = host.vars.network_gateway == "" ? null : 1500
      }
      mtu = host.vars.network_mtu
      pin = host.vars.network_pin
    }
  }

  task "G1.15 G1.16 G1.17 bridge on a bond" {
    when = length(host.vars.network_ports) > 1
    network {
      bond "bond0" {
        members   = host.vars.network_ports
        mode      = "802.3ad"
        hash      = "layer3+4"
        lacp_rate = "fast"
      }
      bridge "vmbr0" {
        ports       = ["bond0"]
        address     = "${host.address}/${host.vars.network_prefix}"
        gateway     = host.vars.network_gateway
        gateway_mtu = host.vars.network_gateway == "" ? null : 1500
      }
      mtu = host.vars.network_mtu
      pin = host.vars.network_pin
    }
  }
}
