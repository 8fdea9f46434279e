variable "from" {
  type = string
}

play "firewall" {
  hosts  = "all"
  become = true

  task "open ports" {
    firewall {
      allow "ssh" {
        ports = ["tcp/22"]
        from  = [var.from]
      }
      rollback = "25s"
    }
  }
}
