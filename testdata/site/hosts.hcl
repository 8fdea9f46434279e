# What playbooks/site.hcl takes from an inventory, for a rehearsal: the guides' cluster with an overlay network and a disk for bulk storage,
# and a host that keeps the backups. Nobody publishes anything, so the groups edge and services are empty.

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
    disk "sdd" {
      size       = "8TB"
      model      = "WDC_WD80EFZX"
      rotational = true
    }
  }
}

group "backup" {
  hosts = ["pbs"]
}

group "edge" {
  hosts = []
}

group "services" {
  hosts = []
}

host "pbs" {
  address = "192.168.1.20"
}

host "pve1" {
  address = "192.168.1.11"
  vars = {
    overlay_address = "10.42.0.1/24"
    ceph_address    = "10.10.10.11"
    osd_devices     = ["/dev/disk/by-id/ata-WDC_WD40EFZX_pve1sdb", "/dev/disk/by-id/ata-WDC_WD40EFZX_pve1sdc"]
    bulk            = [{ device = "/dev/disk/by-id/ata-WDC_WD80EFZX_pve1sdd", path = "/srv/bulk" }]
  }
  rehearsal {
    addresses = ["10.10.10.11/24"]
  }
}

host "pve2" {
  address = "192.168.1.12"
  vars = {
    overlay_address = "10.42.0.2/24"
    ceph_address    = "10.10.10.12"
    osd_devices     = ["/dev/disk/by-id/ata-WDC_WD40EFZX_pve2sdb", "/dev/disk/by-id/ata-WDC_WD40EFZX_pve2sdc"]
    bulk            = [{ device = "/dev/disk/by-id/ata-WDC_WD80EFZX_pve2sdd", path = "/srv/bulk" }]
  }
  rehearsal {
    addresses = ["10.10.10.12/24"]
  }
}

host "pve3" {
  address = "192.168.1.13"
  vars = {
    overlay_address = "10.42.0.3/24"
    ceph_address    = "10.10.10.13"
    osd_devices     = ["/dev/disk/by-id/ata-WDC_WD40EFZX_pve3sdb", "/dev/disk/by-id/ata-WDC_WD40EFZX_pve3sdc"]
    bulk            = [{ device = "/dev/disk/by-id/ata-WDC_WD80EFZX_pve3sdd", path = "/srv/bulk" }]
  }
  rehearsal {
    addresses = ["10.10.10.13/24"]
  }
}
