# The machine's address moves to a VLAN with no other machine: it is cut off until it undoes the change.
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
