# Bulk storage: file systems on disks, volumes and arrays of a host, mounted by their UUIDs now and at every boot.
#
#   hlplay rehearse playbooks/storage.hcl -i inventory
#   hlplay run playbooks/storage.hcl -i inventory --check --diff
#   hlplay run playbooks/storage.hcl -i inventory
#
# A host's inventory names them:
#
#   vars = {
#     bulk = [{ device = "/dev/disk/by-id/ata-WDC_WD80EFZX_VK0EXAMPLE", path = "/srv/bulk" }]
#   }
#
# A device that is not blank is refused, unless wipe repeats the serial of its disk.

host_variable "bulk" {
  type = list(object({
    device  = string
    path    = string
    type    = optional(string, "ext4")
    options = optional(list(string), ["noatime"])
    wipe    = optional(string)
  }))
  default     = []
  description = "File systems of the host: device, path, type (ext4, xfs, btrfs), mount options, and wipe, the serial of a disk that is to be erased."
}

variable "storage_hosts" {
  type        = string
  default     = "all"
  description = "Pattern of the hosts with bulk storage."
}

play "bulk storage" {
  hosts = var.storage_hosts

  task "tools for the file systems" {
    when = anytrue([for b in host.vars.bulk : b.type != "ext4"])
    apt {
      packages = [for type, package in { xfs = "xfsprogs", btrfs = "btrfs-progs" } : package if contains([for b in host.vars.bulk : b.type], type)]
    }
  }

  task "file systems" {
    for_each = { for b in host.vars.bulk : b.path => b }
    filesystem {
      device = each.value.device
      type   = each.value.type
      wipe   = each.value.wipe
    }
  }

  task "mount them" {
    for_each = { for b in host.vars.bulk : b.path => b }
    mount {
      path    = each.key
      source  = each.value.device
      options = each.value.options
    }
  }
}
