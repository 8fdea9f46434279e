# Each of these is refused before anything runs.
variable "used" {
  type        = string
  description = "A disk of pve1 that is not blank."
}

play "refused" {
  hosts = "pve1"

  task "a rule that exists and is different" {
    pveceph {
      rule {
        name           = "slow_hosts"
        failure_domain = "osd"
      }
    }
    ignore_errors = true
  }
  task "a rule for a class that no OSD has" {
    pveceph {
      rule {
        name           = "fast"
        failure_domain = "osd"
        device_class   = "nvme"
      }
    }
    ignore_errors = true
  }
  task "more copies than places" {
    pveceph {
      pool {
        name       = "wide"
        size       = 4
        crush_rule = "slow_hosts"
      }
    }
    ignore_errors = true
  }
  task "more placement groups than the OSDs may carry" {
    pveceph {
      pool {
        name   = "deep"
        pg_num = 1024
      }
    }
    ignore_errors = true
  }
  task "a pool of another application" {
    pveceph {
      pool {
        name        = "archive"
        application = "cephfs"
      }
    }
    ignore_errors = true
  }
  task "a disk that is not blank" {
    pveceph {
      osd {
        device = var.used
      }
    }
    ignore_errors = true
  }
  task "another network" {
    pveceph {
      init {
        network = "10.78.0.0/24"
      }
    }
    ignore_errors = true
  }
}
