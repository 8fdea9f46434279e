# Only the gate, with a short timeout.
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
