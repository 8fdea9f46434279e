# The guides' cluster: bare Debian machines become a Proxmox VE cluster with Ceph and highly available
# guests. This file is the table of contents; each stage has its own file.
#
#   hlplay run playbooks/cluster.hcl -i inventory --rehearse      on simulated nodes
#   hlplay run playbooks/cluster.hcl -i inventory --check --diff  show what would change on your hosts
#   hlplay run playbooks/cluster.hcl -i inventory                 do it
#   hlplay run playbooks/cluster.hcl -i inventory --tags ceph     only the tasks for Ceph
#   hlplay run playbooks/verify.hcl -i inventory                  verify the cluster, whenever you like
#
# G1.x and G2.x in task names are steps of the two guides: see docs/coverage.md.

import "variables.hcl" {}

import "stages/preflight.hcl" {
  tags = ["preflight"]
}
import "stages/hosts.hcl" {
  tags = ["hosts"]
}
import "stages/repositories.hcl" {
  tags = ["repositories", "packages"]
}
import "stages/kernel.hcl" {
  tags = ["kernel", "packages"]
}
import "stages/proxmox.hcl" {
  tags = ["proxmox", "packages"]
}
import "stages/network.hcl" {
  tags = ["network"]
}
import "stages/passthrough.hcl" {
  tags = ["passthrough"]
}
import "stages/tuning.hcl" {
  tags = ["tuning"]
}
import "stages/membership.hcl" {
  tags = ["cluster"]
}
import "stages/ceph.hcl" {
  tags = ["ceph"]
}
import "stages/pools.hcl" {
  tags = ["ceph", "pools"]
}
import "stages/guests.hcl" {
  tags = ["guests"]
}
import "stages/ha.hcl" {
  tags = ["ha"]
}
