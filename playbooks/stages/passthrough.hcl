# G1.19–G1.24: PCI devices reserved for guests. Hosts without passthrough_devices in the inventory are left alone.
# The stage can be run separately:
#
#   hlplay run playbooks/stages/passthrough.hcl -i inventory --check --diff
#   hlplay run playbooks/stages/passthrough.hcl -i inventory
#
# In the inventory: vars = { passthrough_devices = ["10de:*"] }. Hosts are rebooted one at a time.

host_variable "passthrough_devices" {
  description = "Vendor and device of the devices for guests, as lspci -nn prints them; * stands for any digits. Empty leaves the host alone."
  type        = list(string)
  default     = []
}

host_variable "passthrough_only_display" {
  description = "Whether guests may get the host's only display."
  type        = bool
  default     = false
}

host_variable "passthrough_ignore_msrs" {
  description = "Whether guests may access model-specific registers that KVM does not know, as macOS does."
  type        = bool
  default     = false
}

host_variable "passthrough_unsafe_interrupts" {
  description = "Whether to pass devices through on hardware without interrupt remapping."
  type        = bool
  default     = false
}

play "PCI passthrough" {
  hosts  = "pve"
  serial = anytrue([for name in groups.pve : length(hosts[name].vars.passthrough_devices) > 0]) ? 1 : null

  # An AMD kernel switches the IOMMU on by itself; an Intel one does so since 6.8.
  task "G1.19 enable the IOMMU on the kernel's command line" {
    when = length(host.vars.passthrough_devices) > 0
    boot {
      cmdline = facts.cpu.vendor == "GenuineIntel" ? ["intel_iommu=on", "iommu=pt"] : ["iommu=pt"]
    }
    register = "iommu"
  }

  # Not where a reboot is only required by somebody else: guests may run here by now.
  task "G1.19 reboot with the IOMMU" {
    when = try(result.iommu.reboot, false)
    reboot {
      when_required = true
    }
  }

  task "G1.20 G1.21 G1.22 G1.23 reserve the devices for guests" {
    when = length(host.vars.passthrough_devices) > 0
    passthrough {
      devices                 = host.vars.passthrough_devices
      only_display            = host.vars.passthrough_only_display
      ignore_msrs             = host.vars.passthrough_ignore_msrs
      allow_unsafe_interrupts = host.vars.passthrough_unsafe_interrupts
    }
    register = "reserved"
  }

  task "G1.24 reboot with the new initramfs" {
    when = try(result.reserved.reboot, false)
    reboot {
      when_required = true
    }
  }

  task "G1.24 vfio-pci has the devices" {
    when = length(host.vars.passthrough_devices) > 0
    assert {
      that    = [alltrue([for d in facts.pci : d.driver == null || d.driver == "vfio-pci" if contains(result.reserved.addresses, d.address)])]
      message = "another driver has one of ${join(", ", result.reserved.addresses)}: see facts.pci"
    }
  }
}
