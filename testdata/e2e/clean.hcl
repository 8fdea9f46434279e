# The gate alone, and impatient.
play "gate" {
  hosts = "pve"

  task "clean" {
    pveceph {
      clean {
        timeout = "3s"
      }
    }
  }
}
