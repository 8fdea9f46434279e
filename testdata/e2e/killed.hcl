# The machine's own card goes into a bridge, with other MTUs from one run to the next.
variable "mtu" {
  type = number
}

play "killed" {
  hosts = "nodes"

  task "bridge" {
    network {
      bridge "vmbr0" {
        ports   = ["eth0"]
        address = "${host.address}/24"
        gateway = "10.78.0.1"
      }
      mtu      = var.mtu
      rollback = "3m"
    }
  }
}
