# Versions of packages on a node that daily.hcl has set up.

variable "package" {
  type = string
}
variable "downgrade" {
  type    = bool
  default = false
}
variable "hold" {
  type    = bool
  default = null
}

play "packages" {
  hosts = "nodes"

  task "package" {
    apt {
      packages        = [var.package]
      allow_downgrade = var.downgrade
      hold            = var.hold
    }
  }
}
