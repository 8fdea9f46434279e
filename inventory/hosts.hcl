# The guides' cluster: three machines with two blank disks each. Replace names, addresses and disks
# with your own; `hlplay facts pve -i inventory disks` prints what a machine has.

defaults {
  user = "root"
}

group "pve" {
  hosts = ["pve1", "pve2", "pve3"]

  vars = {
    domain = "example.org"
  }

  # Describes the simulated hosts for --rehearse. A real run ignores it.
  rehearsal {
    debian = "trixie"

    disk "sdb" {
      size       = "4TB"
      model      = "WDC_WD40EFZX"
      rotational = true
    }
    disk "sdc" {
      size       = "4TB"
      model      = "WDC_WD40EFZX"
      rotational = true
    }
  }
}

host "pve1" {
  address = "192.168.1.11"
  vars = {
    ceph_address = "10.10.10.11"
    osd_devices  = ["/dev/disk/by-id/ata-WDC_WD40EFZX_pve1sdb", "/dev/disk/by-id/ata-WDC_WD40EFZX_pve1sdc"]
  }
  rehearsal {
    addresses = ["10.10.10.11/24"]
  }
}

host "pve2" {
  address = "192.168.1.12"
  vars = {
    ceph_address = "10.10.10.12"
    osd_devices  = ["/dev/disk/by-id/ata-WDC_WD40EFZX_pve2sdb", "/dev/disk/by-id/ata-WDC_WD40EFZX_pve2sdc"]
  }
  rehearsal {
    addresses = ["10.10.10.12/24"]
  }
}

host "pve3" {
  address = "192.168.1.13"
  vars = {
    ceph_address = "10.10.10.13"
    osd_devices  = ["/dev/disk/by-id/ata-WDC_WD40EFZX_pve3sdb", "/dev/disk/by-id/ata-WDC_WD40EFZX_pve3sdc"]
  }
  rehearsal {
    addresses = ["10.10.10.13/24"]
  }
}
