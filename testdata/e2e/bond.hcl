# A bridge on a bond of the two cables between two machines, and a VLAN on it.
host_variable "bond" {
  type        = string
  description = "Address of the bridge."
}

variable "mtu" {
  type    = number
  default = 1500
}

play "bond" {
  hosts = "nodes"

  task "bridge on a bond" {
    network {
      bond "bond0" {
        members   = ["eth1", "eth2"]
        mode      = "802.3ad"
        hash      = "layer3+4"
        lacp_rate = "fast"
      }
      bridge "vmbr0" {
        ports   = ["bond0"]
        address = host.vars.bond
      }
      vlan "bond0.20" {}
      mtu      = var.mtu
      rollback = "5m"
    }
  }
}
