variable "unit" {
  type = string
}

play "a unit" {
  hosts = "all"

  task "unit" {
    service {
      name  = var.unit
      state = "started"
    }
  }
}
