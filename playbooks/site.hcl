# Everything that both guides build, in their order: a network of their own between the hosts, the cluster with Ceph and highly available
# guests, bulk storage, and backups.
#
#   hlplay rehearse playbooks/site.hcl -i inventory
#   hlplay run playbooks/site.hcl -i inventory --check --diff
#   hlplay run playbooks/site.hcl -i inventory
#   hlplay run playbooks/site.hcl -i inventory --tags bulk,backup
#
# Each playbook can be run alone, and says at its beginning what it takes from the inventory. Besides the cluster's, that is
# overlay_address and bulk for the hosts in the group pve, and the group backup with the host that keeps the backups.

import "overlay.hcl" {
  tags = ["overlay"]
}
import "cluster.hcl" {}
import "storage.hcl" {
  tags = ["bulk"]
}
import "backup.hcl" {
  tags = ["backup"]
}
