# Bulk storage: arrays of disks, and file systems on arrays, disks or volumes, mounted by their UUIDs now and at every boot, and checked
# completely once a month.
#
#   hlplay rehearse playbooks/storage.hcl -i inventory
#   hlplay run playbooks/storage.hcl -i inventory --check --diff
#   hlplay run playbooks/storage.hcl -i inventory -e storage_mail=admin@example.org
#
# A host's inventory names them:
#
#   vars = {
#     bulk = [
#       { device = "/dev/disk/by-id/ata-WDC_WD80EFZX_VK0EXAMPLE", path = "/srv/disk" },
#       {
#         path       = "/srv/bulk"
#         type       = "btrfs"
#         array      = { name = "bulk", level = 6, disks = ["VK0EXAMPLE1", "VK0EXAMPLE2", "VK0EXAMPLE3", "VK0EXAMPLE4"] }
#         subvolumes = ["media", "backup"]
#       },
#     ]
#   }
#
# A device that is not blank is refused, unless wipe repeats the serial of its disk; to wipe it, the run needs --allow all too. A disk that
# fails is replaced by naming the new one in its place; one that is added to the list makes the array larger.

host_variable "bulk" {
  type = list(object({
    path   = string
    device = optional(string)
    array = optional(object({
      name  = string
      level = number
      disks = list(string)
      wipe  = optional(list(string), [])
    }))
    type       = optional(string, "ext4")
    options    = optional(list(string), ["noatime"])
    wipe       = optional(string)
    subvolumes = optional(list(string), [])
  }))
  default     = []
  description = "File systems of the host: path; device, or array (name, level, disks by serial); type (ext4, xfs, btrfs); mount options; subvolumes of btrfs; and wipe, the serials of disks that are to be erased."
  validation {
    condition     = alltrue([for b in host.vars.bulk : b.type != "btrfs" || can(regex("^(/[A-Za-z0-9._-]+)+$", b.path))])
    error_message = "The path of a btrfs file system may contain only letters, digits, dots, hyphens and underscores, as in /srv/bulk: its units are named after it."
  }
  validation {
    condition     = length(distinct([for b in host.vars.bulk : replace(b.path, "/", "-") if b.type == "btrfs"])) == length([for b in host.vars.bulk : b.path if b.type == "btrfs"])
    error_message = "Two btrfs file systems would have units of the same name, as with /srv/a-b and /srv/a/b: change one of the paths."
  }
}

variable "storage_hosts" {
  type        = string
  default     = "all"
  description = "Pattern of the hosts with bulk storage."
}

variable "storage_mail" {
  type        = string
  default     = "root"
  description = "Who receives mail about a failed disk or a damaged file system. The host needs a mail server of its own, such as postfix."
  validation {
    condition     = can(regex("^[A-Za-z0-9._+@-]+$", var.storage_mail))
    error_message = "Write an address as in admin@example.org, or root."
  }
}

play "bulk storage" {
  hosts = var.storage_hosts

  vars = {
    arrays  = [for b in host.vars.bulk : b if b.array != null]
    btrfs   = [for b in host.vars.bulk : b if b.type == "btrfs"]
    scrubs  = { for b in host.vars.bulk : b.path => "scrub-${replace(trimprefix(b.path, "/"), "/", "-")}" if b.type == "btrfs" }
    subvols = flatten([for b in host.vars.bulk : [for name in b.subvolumes : "${b.path}/${name}"]])
  }

  task "check the description of each in the inventory" {
    for_each = { for b in host.vars.bulk : b.path => b }
    assert {
      condition {
        test    = (each.value.device == null) != (each.value.array == null)
        message = "${each.key} of ${host.name} has neither device nor array, or both: give one of them"
      }
      condition {
        test    = length(each.value.subvolumes) == 0 || each.value.type == "btrfs"
        message = "${each.key} of ${host.name} is ${each.value.type}, which has no subvolumes: choose btrfs, or leave them out"
      }
    }
  }

  task "install the tools for arrays and file systems" {
    when = anytrue([for b in host.vars.bulk : b.type != "ext4" || b.array != null])
    apt {
      packages = concat(
        [for type, package in { xfs = "xfsprogs", btrfs = "btrfs-progs" } : package if contains([for b in host.vars.bulk : b.type], type)],
        length(vars.arrays) > 0 ? ["mdadm"] : [],
      )
    }
  }

  task "G1.57 create the arrays" {
    for_each = { for b in vars.arrays : b.path => b.array }
    raid {
      name  = each.value.name
      level = each.value.level
      disks = each.value.disks
      wipe  = each.value.wipe
      mail  = var.storage_mail
    }
    register = "arrays"
  }

  # Debian 12 does it by /etc/cron.d/mdadm, on the same days.
  task "G1.57 check the arrays every month" {
    when = length(vars.arrays) > 0 && facts.distribution.codename != "bookworm"
    service {
      name    = "mdcheck_start.timer"
      enabled = true
      state   = "started"
    }
  }

  task "G1.57 create the file systems" {
    for_each = { for b in host.vars.bulk : b.path => b }
    filesystem {
      device = each.value.array == null ? each.value.device : result.arrays.items[each.key].device
      type   = each.value.type
      wipe   = each.value.wipe
    }
  }

  task "G1.57 mount the file systems" {
    for_each = { for b in host.vars.bulk : b.path => b }
    mount {
      path    = each.key
      source  = each.value.array == null ? each.value.device : result.arrays.items[each.key].device
      options = each.value.options
    }
  }

  task "G1.57 create the subvolumes" {
    for_each = vars.subvols
    command {
      argv    = ["btrfs", "subvolume", "create", each.value]
      creates = each.value
    }
  }

  task "G1.57 add the unit that reports damage by mail" {
    when = length(vars.btrfs) > 0
    file {
      path    = "/etc/systemd/system/bulk-mail@.service"
      content = <<-EOT
        [Unit]
        Description=Mail about the failure of %i

        [Service]
        Type=oneshot
        ExecStart=/bin/sh -c '{ printf "To: %%s\\nSubject: %%s has failed on %%s\\n\\n" "$$0" "$$1" "$$(uname -n)"; journalctl --no-pager -n 50 -u "$$1"; } | /usr/sbin/sendmail -t' ${var.storage_mail} %i
      EOT
    }
  }

  task "G1.57 add the services that scrub btrfs" {
    for_each = vars.scrubs
    file {
      path    = "/etc/systemd/system/${each.value}.service"
      content = <<-EOT
        [Unit]
        Description=Compare what is on ${each.key} with its checksums
        RequiresMountsFor="${each.key}"
        OnFailure=bulk-mail@%n.service

        [Service]
        Type=oneshot
        Nice=19
        IOSchedulingClass=idle
        ExecStart=/usr/bin/btrfs scrub start -B "${each.key}"
      EOT
    }
  }

  task "G1.57 add the timers that scrub btrfs" {
    for_each = vars.scrubs
    file {
      path    = "/etc/systemd/system/${each.value}.timer"
      content = <<-EOT
        [Unit]
        Description=Read all of ${each.key} once a month

        [Timer]
        OnCalendar=*-*-15 03:00:00
        RandomizedDelaySec=4h
        Persistent=true

        [Install]
        WantedBy=timers.target
      EOT
    }
  }

  task "G1.57 scrub btrfs every month" {
    for_each = vars.scrubs
    service {
      name          = "${each.value}.timer"
      enabled       = true
      state         = "started"
      daemon_reload = true
    }
  }
}
