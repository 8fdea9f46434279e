host "pve1" {}
host "pve1" {}
host "-o" {}
host "a" "b" {}
group "two words" {}
group "ungrouped" {}
group "pve" {
  host "pve1" {}
}
group "pve" {}
defaults {}
defaults {}
group "all" {
  hosts = ["pve1"]
}
