# The three nodes that `make bench-peers` boots; the addresses are those of the nodes' own network.

defaults {
  user = "root"
}

group "pve" {
  hosts = ["pve1", "pve2", "pve3"]

  rehearsal {
    debian = "bookworm"
  }
}

host "pve1" {
  address = "10.77.0.11"
  vars    = { ring = "10.77.1.11" }
}

host "pve2" {
  address = "10.77.0.12"
  vars    = { ring = "10.77.1.12" }
}

host "pve3" {
  address = "10.77.0.13"
  vars    = { ring = "10.77.1.13" }
}
