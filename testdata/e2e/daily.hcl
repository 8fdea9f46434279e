# Daily work on a Debian machine: a file system in memory (a container has no disk of its own), jobs, accounts, units, copies,
# and packages of a given version.

variable "site" {
  type        = string
  description = "Where the test serves files and packages."
}
variable "keyring" {
  type        = string
  description = "File on the controller with the key that signs the packages."
}
variable "sums" {
  type        = map(string)
  description = "SHA-256 of the files that are served."
}

play "a file system" {
  hosts = "nodes"

  task "mount" {
    mount {
      path    = "/srv/bulk"
      source  = "tmpfs"
      type    = "tmpfs"
      options = ["size=4m", "noatime"]
    }
  }
}

play "accounts and jobs" {
  hosts = "nodes"

  task "name" {
    hostname {
      name = "daily"
    }
  }
  task "group" {
    group {
      name = "readers"
      gid  = 4711
    }
  }
  task "job" {
    cron {
      name        = "daily"
      schedule    = "* * * * *"
      command     = "touch /srv/bulk/beat"
      environment = { MAILTO = "" }
    }
  }
  task "locale" {
    locale {
      generate = ["de_DE.UTF-8"]
      lang     = "de_DE.UTF-8"
    }
  }
  task "script of the unit" {
    file {
      path    = "/usr/local/bin/daily"
      content = "#!/bin/sh\necho done >/srv/bulk/unit\n"
      mode    = "0755"
    }
  }
  task "unit" {
    systemd_unit {
      name    = "daily.service"
      content = "[Unit]\nDescription=Daily work\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/daily\n"
    }
    notify = ["the unit runs"]
  }
  task "timer" {
    systemd_unit {
      name    = "daily.timer"
      content = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"
    }
  }
  task "timer is on" {
    service {
      name    = "daily.timer"
      state   = "started"
      enabled = true
    }
  }
  handler "the unit runs" {
    service {
      name  = "daily.service"
      state = "restarted"
    }
  }
}

play "copies" {
  hosts = "nodes"

  task "directory with templates" {
    file {
      path  = "/srv/bulk/site"
      tree  = "daily"
      files = { "conf/name" = templatefile("daily/conf/name.tmpl", { name = host.name }) }
    }
  }
  task "download" {
    download {
      url    = "${var.site}/tool"
      path   = "/usr/local/bin/tool"
      sha256 = var.sums.tool
      mode   = "0755"
    }
  }
  task "unpacked" {
    download {
      url    = "${var.site}/tool-1.2.tar.gz"
      path   = "/opt/tool-1.2"
      sha256 = var.sums["tool-1.2.tar.gz"]
      unpack = true
      strip  = 1
    }
  }
  task "checkout" {
    git {
      url      = "/srv/origin.git"
      path     = "/opt/site"
      revision = "v1"
    }
  }
  task "archive" {
    command {
      argv    = ["tar", "-czf", "/srv/bulk/site.tar.gz", "-C", "/srv/bulk", "site"]
      creates = "/srv/bulk/site.tar.gz"
    }
  }
  task "web server answers" {
    http {
      url  = "${var.site}/tool"
      body = "^echo tool$"
    }
  }
  task "pause" {
    wait_for {
      time = "1s"
    }
  }
  task "message" {
    debug {
      message = "runs ${facts.distribution.codename}"
    }
  }
}

play "packages" {
  hosts = "nodes"

  task "repository" {
    apt {
      key {
        path   = "/usr/share/keyrings/e2e.gpg"
        source = var.keyring
      }
      repository {
        name       = "e2e"
        uris       = [var.site]
        suites     = ["bookworm"]
        components = ["main"]
        signed_by  = "/usr/share/keyrings/e2e.gpg"
      }
    }
  }
  task "a version, kept" {
    apt {
      packages = ["e2e-tool=2.*"]
      hold     = true
    }
  }
}
