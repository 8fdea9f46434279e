variable "users" {
  type = string
}

variable "within" {
  type    = string
  default = "25s"
}

variable "apply" {
  type    = list(string)
  default = ["systemctl", "reload", "ssh"]
}

play "who may log in" {
  hosts = "all"

  task "users of sshd" {
    file {
      path    = "/etc/ssh/sshd_config.d/10-who.conf"
      content = "AllowUsers ${var.users}\n"
      guard {
        apply  = var.apply
        within = var.within
      }
    }
  }
}
