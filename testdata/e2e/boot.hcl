# Parameters of the kernel's command line, and the reboot that they take.
play "boot" {
  hosts = "nodes"

  task "IOMMU" {
    boot {
      cmdline = ["intel_iommu=on", "iommu=pt"]
    }
    register = "line"
  }

  task "loader" {
    assert {
      that    = [result.line.loader == "systemd-boot"]
      message = "the boot loader is ${result.line.loader}"
    }
  }

  task "reboot" {
    reboot {
      when_required = true
    }
  }
}
