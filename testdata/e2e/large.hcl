# A large file from the controller, for TestLargeFile.

variable "source" {
  type = string
}

play "a large file" {
  hosts  = "all"
  become = true
  task "large file" {
    file {
      path   = "/srv/large"
      source = var.source
    }
  }
  task "after it" {
    file {
      path = "/srv/copied"
    }
  }
}
