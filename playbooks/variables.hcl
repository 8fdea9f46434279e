# The variables of the cluster. Set them with -e name=value or -e @file.

import "release-keys.hcl" {}

variable "cluster_name" {
  description = "Name of the Proxmox VE cluster. It cannot be changed later."
  type        = string
  default     = "dream"
  validation {
    condition     = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", var.cluster_name)) && length(var.cluster_name) <= 15
    error_message = "A cluster name has at most 15 letters, digits and hyphens, and no hyphen at either end."
  }
}

variable "emergency_keys" {
  description = "Public keys that log in as root even while pve-cluster is stopped, as lines of authorized_keys. Root's own authorized_keys is in /etc/pve, which is empty then. These are kept in /root/.ssh/authorized_keys2, which sshd reads by default, on every node. None by default. An empty list leaves the file as it is: to revoke the last key, remove the file."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for key in var.emergency_keys : can(regex("^([^\n]* )?(ssh-|ecdsa-|sk-)[^ \n]+ AAAA[^\n]+$", key))])
    error_message = "Write each key as in authorized_keys: \"ssh-ed25519 AAAA… name\"."
  }
}

variable "repository" {
  description = "Repository of the Proxmox packages. Enterprise needs a subscription on every host, which can be set only once Proxmox VE is installed (pvesubscription): install with no-subscription, then run again with enterprise."
  type        = string
  default     = "no-subscription"
  validation {
    condition     = contains(["no-subscription", "enterprise"], var.repository)
    error_message = "Choose \"no-subscription\" or \"enterprise\"."
  }
}

variable "web_interface_from" {
  description = "Where the web interface of a node is checked from: the controller, or the node itself (host) if the controller reaches the nodes only through a jump host."
  type        = string
  default     = "controller"
  validation {
    condition     = contains(["controller", "host"], var.web_interface_from)
    error_message = "Choose \"controller\" or \"host\"."
  }
}

variable "ceph_release" {
  description = "Ceph release, the same on all nodes. This playbook does not change a release that is already installed."
  type        = string
  default     = "squid"
  validation {
    condition     = contains(["quincy", "reef", "squid", "tentacle"], var.ceph_release)
    error_message = "Proxmox VE 8 has quincy, reef and squid, Proxmox VE 9 squid and tentacle."
  }
}

variable "public_network" {
  description = "Ceph's public network, for monitors and clients. Each host's address in it is its ceph_address."
  type        = string
  default     = "10.10.10.0/24"
  validation {
    condition     = can(cidrhost(var.public_network, 0))
    error_message = "Write a network as in 10.10.10.0/24."
  }
}

variable "cluster_network" {
  description = "Ceph's cluster network, for replication between OSDs. It may be the public network."
  type        = string
  default     = "10.10.10.0/24"
  validation {
    condition     = can(cidrhost(var.cluster_network, 0))
    error_message = "Write a network as in 10.10.10.0/24."
  }
}

variable "monitors" {
  description = "Number of monitors, on the first hosts of the group. Odd, and at least 3."
  type        = number
  default     = 3
  validation {
    condition     = var.monitors >= 3 && var.monitors % 2 == 1
    error_message = "Choose an odd number of monitors, at least 3: with two, the loss of either stops the cluster."
  }
}

variable "crush_rule" {
  description = "The CRUSH rule of the pools. With failure domain osd (guide 2) three hosts can hold 4 or 5 copies, but copies may share a host. With host, per_domain limits how many copies do."
  type = object({
    name           = string
    failure_domain = string
    per_domain     = optional(number, 1)
  })
  default = {
    name           = "replicated_rule_osd"
    failure_domain = "osd"
  }
  validation {
    condition     = contains(["host", "osd"], var.crush_rule.failure_domain)
    error_message = "The failure domain is \"host\" or \"osd\"."
  }
  validation {
    condition     = var.crush_rule.per_domain >= 1 && var.crush_rule.per_domain <= 5 && (var.crush_rule.per_domain == 1 || var.crush_rule.failure_domain == "host")
    error_message = "per_domain is 1 to 5, and 1 with failure domain \"osd\": an OSD holds one copy."
  }
}

variable "allow_shared_hosts" {
  description = "Whether so many copies may share a host that its loss stops a pool, as with failure domain osd and more than two disks per host."
  type        = bool
  default     = false
}

variable "pools" {
  description = "Pools for guests' disks. 4/2 is the first guide's choice, 5/3 the second's."
  type = map(object({
    size     = number
    min_size = number
  }))
  default = {
    "vm-disks" = { size = 4, min_size = 2 }
    "ha-disks" = { size = 5, min_size = 3 }
  }
  validation {
    condition     = alltrue([for p in var.pools : 2 <= p.size && p.size <= 7 && 2 <= p.min_size && p.min_size <= p.size])
    error_message = "A pool keeps 2 to 7 copies, and min_size is 2 to size: with 1, a single disk could hold the only copy of new data."
  }
}

variable "pgs_per_osd" {
  description = "Target number of placement groups per OSD, counting all copies."
  type        = number
  default     = 100
  validation {
    condition     = var.pgs_per_osd >= 1 && var.pgs_per_osd <= 250
    error_message = "Choose 1 to 250: Ceph refuses more than 250 for each OSD (mon_max_pg_per_osd), and 100 is a good value."
  }
}

variable "max_moved" {
  description = "How much of the data may move to a new OSD, or when a pool changes, such as 80%. If empty, half of it; less than 1 GiB may always move."
  type        = string
  default     = ""
}

variable "cephfs" {
  description = "Name of the CephFS for images and backups, with three copies on three hosts; \"\" for none."
  type        = string
  default     = "cephfs"
}

variable "guests" {
  description = "Virtual machines to create if their ID is free, by ID. The disk is created in the pool."
  type = map(object({
    name   = string
    memory = number
    pool   = string
    disk   = number
  }))
  default = {
    "100" = { name = "sso", memory = 2048, pool = "ha-disks", disk = 32 }
  }
  validation {
    condition     = alltrue([for g in var.guests : contains(keys(var.pools), g.pool)])
    error_message = "The pool of a guest is not among pools: ${join(", ", distinct([for id, g in var.guests : "${g.pool} (guest ${id})" if !contains(keys(var.pools), g.pool)]))}."
  }
}

variable "ha_resources" {
  description = "Highly available resources, by service ID, and the nodes they prefer to run on (a higher number wins)."
  type = map(object({
    nodes = map(number)
  }))
  default = {
    "vm:100" = { nodes = { pve1 = 2, pve2 = 1 } }
  }
  validation {
    condition     = alltrue([for sid in keys(var.ha_resources) : can(regex("^(vm|ct):[1-9][0-9]{2,8}$", sid))])
    error_message = "A service id is vm:ID or ct:ID, such as vm:100."
  }
}

# What the inventory must say about each host, in vars of the host or of its group.

host_variable "domain" {
  description = "The domain of the host's FQDN, such as example.org."
  type        = string
  hosts       = "pve"
}

host_variable "ceph_address" {
  description = "The host's own address in public_network, for its monitor. Not needed without Ceph."
  type        = string
  default     = ""
  validation {
    condition     = host.vars.ceph_address == "" || can(cidrcontains("::/0", host.vars.ceph_address))
    error_message = "Expected an IP address without a prefix length, such as \"10.10.10.11\"."
  }
}

host_variable "osd_devices" {
  description = "The disks that become OSDs, by stable paths: /dev/disk/by-id/…."
  type        = list(string)
  default     = []
}

host_variable "osd_wipe" {
  description = "Serial numbers of disks in osd_devices that are not blank and will be wiped (with --allow all)."
  type        = list(string)
  default     = []
}
