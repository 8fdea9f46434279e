play "kernel settings" {
  hosts = "pve"

  # Ceph OSDs beside guests: swap late, and room for many connections and asynchronous requests.
  task "G1.32 settings for Ceph and guests on the same host" {
    sysctl {
      settings = {
        "vm.swappiness"      = "10"
        "fs.aio-max-nr"      = "1048576"
        "net.core.somaxconn" = "4096"
      }
    }
    tags = ["sysctl"]
  }

  # The guide also names vfio_virqfd, which no longer exists since kernel 6.2.
  task "G1.21 modules for PCI passthrough" {
    modprobe {
      modules = ["vfio", "vfio_iommu_type1", "vfio_pci"]
    }
    tags = ["modprobe"]
  }
}
