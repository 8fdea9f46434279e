# Jumbo frames on the path to the controller, whose MTU is 1500.
play "hop" {
  hosts = "nodes"

  task "jumbo frames" {
    network {
      interface "eth0" {
        address = "${host.address}/24"
        mtu     = 9000
      }
      rollback = "5m"
    }
  }
}
