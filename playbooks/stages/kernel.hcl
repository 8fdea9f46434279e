import "pin.hcl" {}

play "Proxmox kernel" {
  hosts = "pve"

  # The bridge's file names the cards, and a host whose cards have other names after the reboot is not reached any more.
  task "G1.6 keep the names of the network cards" {
    when = host.vars.network_pin
    network {
      pin = true
    }
  }

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
