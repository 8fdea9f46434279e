# Replace the disk of an OSD: its data moves to the others, the OSD is removed, and a new one is made.
#
#   ceph osd metadata 3 | grep -E 'hostname|devices'       which node, which disk
#   ceph osd dump | grep '^osd.3 '                         its fsid is at the end of the line
#
#   hlplay run playbooks/replace-disk.hcl -i inventory --check -e osd_id=3 -e osd_fsid=… -e device=/dev/disk/by-id/…
#
# The run itself needs --allow all, since the old OSD is destroyed.
# It can be run again at any time, and continues where it stopped: a new OSD that gets the same number has another fsid. If the new
# disk takes the place of the old one, run it with --tags remove, change the disk, and run it with --tags add.

variable "osd_id" {
  description = "Number of the OSD to remove."
  type        = number
}

variable "osd_fsid" {
  description = "The OSD's own UUID."
  type        = string
}

variable "node" {
  description = "The node of the OSD, and of the new disk."
  type        = string
}

variable "device" {
  description = "The new disk."
  type        = string
}

variable "wipe" {
  description = "Wipe the old disk. Leave it false if the disk has failed."
  type        = bool
  default     = false
}

variable "serial" {
  description = "Serial number of the new disk, if it is not blank and may be wiped."
  type        = string
  default     = ""
}

variable "max_moved" {
  description = "How much of the data of its device class may move away from the OSD, and to the new one, such as 80%. If empty, half of it; less than 1 GiB may always move."
  type        = string
  default     = ""
}

play "replace the disk of an OSD" {
  hosts = "pve"

  task "G1.36 remove the OSD once its data is elsewhere" {
    tags = ["remove"]
    when = host.name == var.node
    pveceph {
      osd_absent {
        id        = var.osd_id
        fsid      = var.osd_fsid
        wipe      = var.wipe
        max_moved = var.max_moved
      }
    }
  }

  task "G1.36 create an OSD on the new disk" {
    tags = ["add"]
    when = host.name == var.node
    pveceph {
      osd {
        device    = var.device
        wipe      = compact([var.serial])
        max_moved = var.max_moved
      }
    }
  }

  task "G1.37 all placement groups are active and clean" {
    tags = ["add"]
    pveceph {
      clean {
        timeout = "12h"
      }
    }
  }
}
