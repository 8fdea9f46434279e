# The machine's address moves to a VLAN that nobody else is on: it is cut off until it takes the change back.
play "cut" {
  hosts = "nodes"

  task "address on a VLAN" {
    network {
      vlan "eth0.30" {
        address = "${host.address}/24"
      }
      interface "eth0" {
        addresses = []
      }
      rollback = "2m"
    }
  }
}
