host "pve1" {}
host "both" {}
group "both" {}
group "pve" {
  hosts    = ["pve1", "pve11", "ceph"]
  children = ["cehp", "pve1", "all"]
}
group "ceph" {}
