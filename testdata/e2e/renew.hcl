# An OSD with a database on another device is removed and wiped, and created again on the same devices, encrypted.
variable "osd_id" {
  type = number
}

variable "osd_fsid" {
  type = string
}

play "an OSD created again" {
  hosts = "pve"

  task "remove and wipe" {
    pveceph {
      osd_absent {
        id   = var.osd_id
        fsid = var.osd_fsid
        wipe = true
      }
    }
  }

  task "encrypted" {
    pveceph {
      osd {
        device    = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_SLOW"
        db_device = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_FAST"
        db_size   = 1
        encrypted = true
      }
    }
  }

  task "clean" {
    pveceph {
      clean {
        timeout = "1h"
      }
    }
  }
}
