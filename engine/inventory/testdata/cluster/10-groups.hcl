defaults {
  user = "root"
  keys = ["~/.ssh/id_lab"]
  vars = { ntp = "pool.ntp.org" }
}

group "all" {
  vars = { ntp = "ntp.lan" }
}

group "datacentre" {
  children = ["pve"]
  vars     = { cluster = "unnamed" }
}

group "pve" {
  vars = { cluster = "dream" }
  rehearsal {
    debian = "trixie"
  }
  host "pve1" {
    address = "192.168.1.11"
    port    = 2222
    keys    = ["~/.ssh/id_lab", "id_more"]
    vars = {
      osd_devices = ["/dev/disk/by-id/wwn-1", "/dev/disk/by-id/wwn-2"]
    }
    rehearsal {
      addresses = ["10.10.10.11/24"]
      guests    = { "100" = "vm" }

      boot_loader = "systemd-boot"
      disk "sdb" {
        size       = "1TB"
        serial     = "S1"
        model      = "Exos"
        rotational = true
      }
      disk "nvme0n1" {
        size = "512GiB"
        use  = "ext4"
      }
    }
  }
  host "pve2" {
    address = "192.168.1.12"
  }
  host "pve3" {
    address = "fd00::13"
    vars = {
      "odd name" = "a $${literal} \"quoted\"\n"
      nested     = { list = [1, 2.5, true, null], empty = {} }
    }
  }
}

group "ceph" {
  hosts = ["pve1", "pve2"]
}

group "controllers" {
  host "here" {
    connection = "local"
  }
}

group "empty" {}
