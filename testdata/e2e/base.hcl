# Every base module on a real Debian node. Passwords are crypt(5) hashes of nothing in use.

variable "repository" {
  type        = string
  description = "Where the test serves its packages."
}
variable "keyring" {
  type        = string
  description = "File on the controller with the key that signs them."
}

play "packages" {
  hosts = "nodes"

  task "key and repository" {
    apt {
      key {
        path   = "/usr/share/keyrings/e2e.gpg"
        source = var.keyring
      }
      repository {
        name       = "e2e"
        uris       = [var.repository]
        suites     = ["bookworm"]
        components = ["main"]
        signed_by  = "/usr/share/keyrings/e2e.gpg"
      }
    }
  }

  # e2e-tool 1.0 is installed before the run; the repository has 2.0.
  task "upgrade" {
    apt {
      upgrade = "full"
    }
  }

  task "packages with answers" {
    apt {
      packages = ["e2e-daemon", "e2e-question"]
      debconf  = { "e2e-question/colour" = "string green" }
    }
  }

  task "a package goes" {
    apt {
      packages = ["e2e-unwanted"]
      state    = "purged"
    }
  }
}

play "files" {
  hosts = "nodes"

  task "directory" {
    file {
      path  = "/srv/e2e"
      state = "directory"
      mode  = "2750"
      group = "adm"
    }
  }
  task "content" {
    file {
      path    = "/srv/e2e/content with 'quotes' and ünïcode"
      content = "node ${host.name}\n$(not expanded) `nor this` \\n\n"
      mode    = "0640"
      owner   = "daemon"
      group   = "adm"
    }
  }
  task "source" {
    file {
      path         = "/srv/e2e/new/parents/source.bin"
      source       = "source.bin"
      make_parents = true
    }
  }
  task "template" {
    file {
      path    = "/srv/e2e/template"
      content = templatefile("nodes.tmpl", { names = groups.nodes })
    }
  }
  task "link" {
    file {
      path   = "/srv/e2e/link"
      target = "template"
    }
  }
  task "through a link" {
    file {
      path = "/srv/e2e-link" # to /srv/e2e-target, before the run
      line {
        line = "written through the link"
      }
    }
  }
  task "line" {
    file {
      path = "/etc/ssh/sshd_config"
      line {
        regexp = "^#?X11Forwarding\\s"
        line   = "X11Forwarding no"
      }
    }
    notify = ["sshd reads its settings"]
  }
  task "block" {
    file {
      path = "/etc/hosts"
      block {
        marker  = "e2e"
        content = join("\n", [for name in groups.nodes : "${hosts[name].address} ${name}"])
      }
    }
  }
  task "absent" {
    file {
      path      = "/srv/e2e-old"
      state     = "absent"
      recursive = true
    }
  }

  handler "sshd reads its settings" {
    service {
      name  = "ssh"
      state = "reloaded"
    }
  }
}

play "the system" {
  hosts = "nodes"

  task "kernel settings" {
    sysctl {
      settings = {
        "net.ipv4.ip_forward"          = "1"
        "net.ipv4.ip_local_port_range" = "20000 60999"
      }
    }
  }
  task "kernel modules' options" {
    modprobe {
      options   = { kvm = "ignore_msrs=1" }
      blacklist = ["nouveau"]
    }
  }
  task "account" {
    user {
      name            = "keeper"
      comment         = "Keeps the node"
      shell           = "/bin/bash"
      groups          = ["adm", "e2e"]
      password        = "$y$j9T$K3uQKm8PTqIYYp0vgCNF7.$3yGSAmGqnhTKi6iZ5UV6EW3cR4B4g7ryqcKdpTSbDT8"
      authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNyUm1Y3VGt4Z7qPV0oQrkpuWh1x3jWgA6jQGqmjmyD ops@example.org"]
    }
  }
  task "service" {
    service {
      name    = "e2e-daemon"
      state   = "started"
      enabled = true
    }
  }
  task "masked service" {
    service {
      name   = "cron"
      state  = "stopped"
      masked = true
    }
  }
  task "time zone" {
    timezone {
      name = "Europe/Berlin"
    }
  }
  task "command" {
    command {
      shell   = "printf '%s' \"$E2E_SECRET\" | tr a-z A-Z >/srv/e2e/command"
      env     = { E2E_SECRET = "shout" }
      creates = "/srv/e2e/command"
    }
  }
  task "reading command" {
    command {
      argv  = ["id", "-un"]
      reads = true
    }
    register = "id"
  }
  task "facts" {
    assert {
      condition {
        test    = facts.distribution.codename == "bookworm"
        message = "the release is ${facts.distribution.codename}"
      }
      condition {
        test    = result.id.stdout_lines[0] == "root"
        message = "commands run as ${result.id.stdout_lines[0]}"
      }
    }
  }
}

play "restart" {
  hosts  = "nodes"
  serial = [1]

  # A package in the repository requires it, as a kernel does.
  task "reboot" {
    reboot {
      when_required = true
      limit         = "2m"
    }
  }
  task "sshd answers" {
    wait_for {
      port    = 22
      timeout = "1m"
    }
  }
  task "the service is back" {
    wait_for {
      unit    = "e2e-daemon"
      timeout = "1m"
    }
  }
}
