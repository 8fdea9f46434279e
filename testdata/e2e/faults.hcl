# Everything that a fault could lose: files, commands whose effects are counted, handlers, a package, a rolling play.
variable "generation" {
  type        = string
  description = "What all of it changes to."
}
variable "secret" {
  type      = string
  sensitive = true
}

play "rolling" {
  hosts  = "all"
  serial = 1
  become = true

  task "configuration" {
    file {
      path    = "/srv/faults/daemon.conf"
      content = "generation ${var.generation}\n"
    }
    notify = ["restart"]
  }
  task "a file that others edit" {
    file {
      path   = "/srv/faults/shared"
      create = true
      line {
        line   = "generation = ${var.generation}"
        regexp = "^generation = "
      }
    }
  }
  task "short command" {
    command {
      shell  = "echo ${var.generation} >>/srv/faults/short"
      unless = ["grep", "-qx", var.generation, "/srv/faults/short"]
    }
  }
  task "long command" {
    command {
      shell  = "echo ${var.generation} >>/srv/faults/begun; sleep 1; cat >/dev/null; echo ${var.generation} >>/srv/faults/long"
      stdin  = var.secret
      env    = { SECRET = var.secret }
      limit  = "11m"
      unless = ["grep", "-qx", var.generation, "/srv/faults/long"]
    }
    notify = ["read it"]
  }
  task "package" {
    apt {
      packages = ["e2e-faults"]
      state    = "purged"
    }
  }

  handler "restart" {
    command {
      shell  = "cat /srv/faults/daemon.conf >/srv/faults/running.conf"
      always = true
    }
  }
  handler "read it" {
    command {
      shell  = "tail -n 1 /srv/faults/long >/srv/faults/read"
      always = true
    }
  }
}

play "everywhere" {
  hosts  = "all"
  become = true

  task "secret" {
    file {
      path    = "/srv/faults/secret"
      mode    = "0600"
      content = "${var.generation} ${var.secret}\n"
    }
    notify = ["keep it"]
  }
  task "after all" {
    file {
      path    = "/srv/faults/last"
      content = "generation ${var.generation}\n"
    }
  }

  handler "keep it" {
    command {
      shell  = "umask 077; cat /srv/faults/secret >/srv/faults/kept"
      always = true
    }
  }
}
