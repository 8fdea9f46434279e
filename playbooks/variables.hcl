# What a cluster is made of. Give other values with -e name=value or -e @file.

variable "cluster_name" {
  description = "Name of the Proxmox VE cluster. It cannot be changed later."
  type        = string
  default     = "dream"
  validation {
    condition     = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", var.cluster_name)) && length(var.cluster_name) <= 15
    error_message = "A cluster name has at most 15 letters, digits and dashes, and no dash at either end."
  }
}

variable "repository" {
  description = "Where Proxmox packages come from. Enterprise needs a subscription on every host, which is set once Proxmox VE is there (pvesubscription): install with no-subscription, then run again with enterprise."
  type        = string
  default     = "no-subscription"
  validation {
    condition     = contains(["no-subscription", "enterprise"], var.repository)
    error_message = "Choose \"no-subscription\" or \"enterprise\"."
  }
}

variable "release_key" {
  description = "The key that signs Proxmox's packages, by its address and its SHA-256 sum. Null is Proxmox's own; a mirror that signs with a key of its own has another."
  type = object({
    url    = string
    sha256 = string
  })
  default = null
}

variable "web_interface_from" {
  description = "Who sees whether the web interface of a node answers: the controller, or the node itself (host) where the controller reaches nodes through another machine alone."
  type        = string
  default     = "controller"
  validation {
    condition     = contains(["controller", "host"], var.web_interface_from)
    error_message = "Choose \"controller\" or \"host\"."
  }
}

variable "ceph_release" {
  description = "Ceph's release, the same on all nodes. A release once installed is not changed by this playbook."
  type        = string
  default     = "squid"
  validation {
    condition     = contains(["quincy", "reef", "squid", "tentacle"], var.ceph_release)
    error_message = "Proxmox VE 8 has quincy, reef and squid, Proxmox VE 9 squid and tentacle."
  }
}

variable "public_network" {
  description = "Ceph's public network: monitors and clients. Each host has its address in it as ceph_address."
  type        = string
  default     = "10.10.10.0/24"
  validation {
    condition     = can(cidrhost(var.public_network, 0))
    error_message = "Write a network as in 10.10.10.0/24."
  }
}

variable "cluster_network" {
  description = "Ceph's cluster network, where OSDs replicate. May be the public one."
  type        = string
  default     = "10.10.10.0/24"
  validation {
    condition     = can(cidrhost(var.cluster_network, 0))
    error_message = "Write a network as in 10.10.10.0/24."
  }
}

variable "monitors" {
  description = "How many of the hosts, from the first on, carry a monitor. Odd, and at least 3."
  type        = number
  default     = 3
  validation {
    condition     = var.monitors >= 3 && var.monitors % 2 == 1
    error_message = "An odd number of monitors, at least 3: two stop when one is lost."
  }
}

variable "crush_rule" {
  description = "The CRUSH rule of the pools. With failure domain osd (guide 2) three hosts can hold 4 or 5 copies, but copies may share a host."
  type = object({
    name           = string
    failure_domain = string
  })
  default = {
    name           = "replicated_rule_osd"
    failure_domain = "osd"
  }
  validation {
    condition     = contains(["host", "osd"], var.crush_rule.failure_domain)
    error_message = "The failure domain is \"host\" or \"osd\"."
  }
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
    error_message = "A pool keeps 2 to 7 copies, and min_size is 2 to size: with 1, a single disk could hold the only copy of what was just written."
  }
}

variable "pgs_per_osd" {
  description = "How many placement groups an OSD should carry, copies counted."
  type        = number
  default     = 100
}

variable "cephfs" {
  description = "Name of the CephFS for images and backups, which keeps three copies on three hosts; \"\" for none."
  type        = string
  default     = "cephfs"
}

variable "guests" {
  description = "Virtual machines that are created if their id is free, by id. Their disk lies in the pool."
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
  description = "What is highly available, by service id, and on which nodes it prefers to run (a higher number wins)."
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

# What the inventory says of each host, in vars of the host or of its group.

host_variable "domain" {
  description = "The domain of the host's name, such as example.org."
  type        = string
}

host_variable "ceph_address" {
  description = "The host's own address in public_network, for its monitor. Without Ceph it is not needed."
  type        = string
  default     = ""
  validation {
    condition     = host.vars.ceph_address == "" || can(cidrcontains("::/0", host.vars.ceph_address))
    error_message = "Expected an IP address without a prefix length, such as \"10.10.10.11\"."
  }
}

host_variable "osd_devices" {
  description = "The disks that become OSDs, by paths that stay: /dev/disk/by-id/…."
  type        = list(string)
  default     = []
}
