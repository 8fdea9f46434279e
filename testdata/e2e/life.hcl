# A little of everything, for nodes with various obstacles.
variable "directory" {
  type    = string
  default = "/srv/life"
}
variable "large" {
  type        = string
  description = "File on the controller, too large to travel with a command."
}
variable "pause" {
  type        = string
  description = "How long the slow command takes, in seconds."
  default     = "0"
}
variable "lock_timeout" {
  type        = string
  description = "How long to wait for the package manager."
  default     = "1m"
}

play "life" {
  hosts = "nodes"

  task "directory" {
    file {
      path  = var.directory
      state = "directory"
    }
  }
  task "many files" {
    for_each = toset([for i in range(12) : tostring(i)])
    file {
      path    = "${var.directory}/${each.value}"
      content = "file ${each.value}\n"
    }
  }
  task "large file" {
    file {
      path   = "${var.directory}/large"
      source = var.large
    }
  }
  task "slow command" {
    command {
      argv    = ["sh", "-c", "sleep \"$1\"; touch \"$2\"", "sh", var.pause, "${var.directory}/slow"]
      creates = "${var.directory}/slow"
    }
  }
  task "package" {
    apt {
      packages     = ["e2e-unwanted"]
      state        = "purged"
      lock_timeout = var.lock_timeout
    }
  }
  task "last" {
    file {
      path    = "${var.directory}/last"
      content = "done\n"
    }
  }
}
