# A node that reboots in the middle of the run.
play "reboot" {
  hosts = "nodes"

  task "reboot" {
    reboot {
      always = true
      limit  = "2m"
    }
  }
  task "after it" {
    file {
      path    = "/etc/after-reboot"
      content = "the run went on\n"
    }
  }
}
