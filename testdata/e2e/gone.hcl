# Removes the bridge, the bond and the VLAN of bond.hcl; the cards remain.
play "gone" {
  hosts = "nodes"

  task "no bridge on a bond" {
    network {
      absent   = ["vmbr0", "bond0.20", "bond0"]
      rollback = "5m"
    }
  }
}
