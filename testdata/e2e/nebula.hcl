variable "nebula_ca" {
  type = string
}

variable "nebula_ca_key" {
  type      = string
  sensitive = true
}

variable "blocklist" {
  type    = list(string)
  default = []
}

play "rules" {
  hosts = "node1"

  vars = {
    addresses = { for name in ["node1", "node2", "node3"] : name => hosts[name].vars.overlay_address }
  }

  task "who may connect" {
    nebula {
      interface   = "nebula1"
      addresses   = vars.addresses
      endpoints   = { for name, _ in vars.addresses : name => hosts[name].address }
      lighthouses = keys(vars.addresses)
      ca          = var.nebula_ca
      ca_key      = var.nebula_ca_key
      blocklist   = var.blocklist
      before      = ["corosync.service", "pve-cluster.service", "ceph.target"]

      allow {
        protocol = "tcp"
        port     = "22"
        hosts    = ["node2"]
      }
    }
  }
}
