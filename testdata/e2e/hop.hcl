# Jumbo frames on the way to the controller, which carries 1500 bytes.
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
