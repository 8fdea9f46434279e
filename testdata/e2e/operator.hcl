# What another operator does meanwhile: a line of their own in a file that faults.hcl edits, too.
variable "mark" {
  type = string
}

play "another operator" {
  hosts  = "all"
  become = true

  task "a line" {
    file {
      path   = "/srv/faults/shared"
      create = true
      line {
        line = var.mark
      }
    }
  }
}
