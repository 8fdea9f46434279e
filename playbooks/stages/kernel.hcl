play "Proxmox kernel" {
  hosts = "pve"

  task "G1.6 install the Proxmox kernel" {
    apt {
      packages = ["proxmox-default-kernel"]
    }
    timeout = "30m"
  }

  task "G1.6 boot the Proxmox kernel" {
    reboot {
      when_kernel = "*-pve"
      message     = "into the Proxmox kernel"
    }
  }
}
