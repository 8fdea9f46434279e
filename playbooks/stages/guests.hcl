play "guests" {
  hosts = "pve"

  task "G2.14 create virtual machines with disks on Ceph" {
    for_each = var.guests
    qm {
      id     = tonumber(each.key)
      node   = groups.pve[0]
      name   = each.value.name
      memory = each.value.memory
      disks = {
        scsi0 = "${each.value.pool}:${each.value.disk}"
      }
    }
  }
}
