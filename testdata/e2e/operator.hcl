# A concurrent change by another operator: an additional line in a file that faults.hcl edits as well.
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
