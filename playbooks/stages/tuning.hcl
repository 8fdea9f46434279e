play "kernel settings" {
  hosts = "pve"

  # Ceph OSDs next to guests: swap late, and allow many connections and asynchronous requests.
  task "G1.32 tune the kernel for Ceph and guests on the same host" {
    sysctl {
      settings = {
        "vm.swappiness"      = "10"
        "fs.aio-max-nr"      = "1048576"
        "net.core.somaxconn" = "4096"
      }
    }
    tags = ["sysctl"]
  }

  # The guide also loads vfio_virqfd, which was removed in kernel 6.2.
  task "G1.21 load modules for PCI passthrough" {
    modprobe {
      modules = ["vfio", "vfio_iommu_type1", "vfio_pci"]
    }
    tags = ["modprobe"]
  }
}
