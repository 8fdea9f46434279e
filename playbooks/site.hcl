# Everything that both guides build, in their order: a network of their own between the hosts, the cluster with Ceph and highly available
# guests, bulk storage, backups, and a front door for what guests publish.
#
#   hlplay rehearse playbooks/site.hcl -i testdata/site
#   hlplay run playbooks/site.hcl -i inventory --check --diff
#   hlplay run playbooks/site.hcl -i inventory
#   hlplay run playbooks/site.hcl -i inventory --tags bulk,backup
#
# Each playbook can be run alone, and says at its beginning what it takes from the inventory. Besides the cluster's, that is
# overlay_address and bulk for the hosts in the group pve; the group backup with the host that keeps the backups; and the groups edge, with
# the public host, and services, with the guests that publish something, which may both be empty. If there are such guests, give frp_token.
# testdata/site/hosts.hcl is an example.

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
import "ingress.hcl" {
  tags = ["ingress"]
}
