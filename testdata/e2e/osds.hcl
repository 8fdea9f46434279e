# OSDs on a whole disk, on a partition in the free space of one that is in use, and with a database on a faster device.
variable "address" {
  description = "The machine's address in Ceph's network."
  type        = string
}

play "OSDs in logical volumes" {
  hosts = "pve"

  task "networks" {
    pveceph {
      init {
        network = "10.78.0.0/24"
      }
    }
  }

  task "monitor" {
    pveceph {
      mon {
        address = var.address
      }
    }
  }

  task "manager" {
    pveceph {
      mgr {}
    }
  }

  task "whole disk" {
    pveceph {
      osd {
        device = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_WHOLE"
      }
    }
  }

  task "partition in free space" {
    partition {
      disk = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_SHARED"
      name = "osd-a"
      size = "2GiB"
    }
  }

  task "partition" {
    pveceph {
      osd {
        device = "/dev/disk/by-partlabel/osd-a"
        class  = "ssd"
      }
    }
  }

  task "database on another device" {
    pveceph {
      osd {
        device    = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_SLOW"
        db_device = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_FAST"
        db_size   = 1
      }
    }
  }

  task "copies on different OSDs" {
    pveceph {
      rule {
        name           = "by_osd"
        failure_domain = "osd"
      }
    }
  }

  task "pool" {
    pveceph {
      pool {
        name       = "data"
        size       = 2
        min_size   = 2
        pg_num     = 32
        crush_rule = "by_osd"
      }
    }
  }
}
