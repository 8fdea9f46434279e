# Backups of the cluster's guests: Proxmox Backup Server on a separate host, the storage with which the nodes access it, and
# scheduled backups.
#
#   hlplay rehearse playbooks/backup.hcl -i inventory
#   hlplay run playbooks/backup.hcl -i inventory --tags server
#   hlplay run playbooks/backup.hcl -i inventory -e 'backup_storage={id="pbs1"}'
#
# The server is the host in the group backup, a bare Debian. It gets a datastore, and a token with which the cluster can create and
# restore backups but not remove them, which the server's own prune job does. The token's secret is passed from the server's host to
# the cluster, and is neither shown nor recorded.
#
# With backup_tests, a node restores the newest backup of a guest on a schedule, without network and under a separate ID, and destroys
# it again. Each run reports how the last test ended:
#
#   hlplay run playbooks/backup.hcl -i inventory -e 'backup_tests={"vm:100"={target="local-lvm",id=9100}}' …
#
# Hosts that only send backups to a server get its client from backup-client.hcl; nodes of Proxmox VE have it already.
#
# For a server that is not in the inventory, set backup_secret, encrypted (hlplay secret encrypt), and backup_fingerprint, as
# proxmox-backup-manager cert info prints it there.

import "release-keys.hcl" {}

variable "backup_server" {
  description = "Pattern of the host that becomes the backup server."
  type        = string
  default     = "backup"
}

variable "backup_datastore" {
  description = "The datastore on the server: its name, its directory on a sufficiently large file system, and the schedule of garbage collection."
  type = object({
    name        = optional(string, "main")
    path        = optional(string, "/srv/backup/main")
    gc_schedule = optional(string, "daily")
  })
  default = {}
}

variable "backup_token" {
  description = "The token that the cluster uses: its user and its name."
  type = object({
    user = optional(string, "pve@pbs")
    name = optional(string, "cluster")
  })
  default = {}
}

variable "backup_keep" {
  description = "How many backups of each guest the server keeps."
  type        = map(number)
  default     = { last = 3, daily = 7, weekly = 4, monthly = 6 }
}

variable "backup_storage" {
  description = "The storage with which the cluster uses the server: its ID, and the server's address, datastore and token, if they differ from those of the inventory and the variables above."
  type = object({
    id        = string
    server    = optional(string)
    datastore = optional(string)
    username  = optional(string)
  })
  default = null
}

variable "backup_secret" {
  description = "The secret of the token, or the user's password, of a server that the inventory does not have."
  type        = string
  default     = ""
  sensitive   = true
}

variable "backup_fingerprint" {
  description = "The SHA-256 fingerprint of that server's certificate."
  type        = string
  default     = ""
  validation {
    condition     = var.backup_fingerprint == "" || can(regex("^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}$", var.backup_fingerprint))
    error_message = "A fingerprint is 32 pairs of hexadecimal digits with colons between them."
  }
}

variable "backup_jobs" {
  description = "Scheduled backups by ID: when they run, which guests they include (by default all), and how many backups of each guest the cluster keeps, if its token may remove them."
  type = map(object({
    schedule = string
    guests   = optional(list(number))
    keep     = optional(map(number))
  }))
  default = { nightly = { schedule = "02:30" } }
}

variable "backup_tests" {
  description = "Test restores by guest (vm:100): the storage to restore to, the ID to restore under, the node (by default the first), the schedule, and what to prove: restored, running or agent. By default, the backups are on backup_storage."
  type = map(object({
    target   = string
    id       = number
    node     = optional(string)
    storage  = optional(string)
    schedule = optional(string, "sun 04:00")
    prove    = optional(string, "running")
    watch    = optional(string, "2m")
  }))
  default = {}
}

play "backup server" {
  hosts = var.backup_server
  tags  = ["server"]

  vars = {
    key = local.release_keys[facts.distribution.codename]
  }

  task "G1.58 G1.59 install the release key" {
    apt {
      key {
        path           = vars.key.path
        url            = var.release_key == null ? vars.key.url : var.release_key.url
        sha256         = var.release_key == null ? vars.key.sha256 : var.release_key.sha256
        unless_package = "proxmox-archive-keyring"
      }
    }
  }

  task "G1.60 add the repository" {
    apt {
      repository {
        name       = "pbs"
        uris       = ["http://download.proxmox.com/debian/pbs"]
        suites     = [facts.distribution.codename]
        components = ["pbs-no-subscription"]
        signed_by  = vars.key.path
      }
    }
  }

  task "G1.61 G1.62 install Proxmox Backup Server, and its client" {
    timeout = "1h"
    apt {
      packages = ["proxmox-backup-server", "proxmox-backup-client"]
    }
  }

  task "G1.61 disable the enterprise repository" {
    apt {
      disable_uris = ["https://enterprise.proxmox.com"]
    }
  }

  task "G1.61 start the services" {
    for_each = toset(["proxmox-backup", "proxmox-backup-proxy"])
    service {
      name    = each.key
      enabled = true
      state   = "started"
    }
  }

  task "G1.61 wait until the server answers" {
    wait_for {
      port = 8007
    }
  }

  task "G1.63 create the datastore" {
    pbs {
      datastore {
        name        = var.backup_datastore.name
        path        = var.backup_datastore.path
        gc_schedule = var.backup_datastore.gc_schedule
      }
    }
  }

  task "G1.63 prune old backups" {
    pbs {
      prune_job {
        id        = "${var.backup_datastore.name}-prune"
        datastore = var.backup_datastore.name
        keep      = var.backup_keep
      }
    }
  }

  task "G1.63 verify the backups" {
    pbs {
      verify_job {
        id        = "${var.backup_datastore.name}-verify"
        datastore = var.backup_datastore.name
      }
    }
  }

  task "G1.63 create a token for the cluster" {
    pbs {
      token {
        user      = var.backup_token.user
        name      = var.backup_token.name
        datastore = var.backup_datastore.name
      }
    }
  }
}

play "backups of the cluster" {
  hosts = "pve"
  tags  = ["storage"]

  vars = {
    server = try(groups[var.backup_server][0], var.backup_server)
  }

  task "G1.63 check that the server is fully described" {
    assert {
      condition {
        test    = (var.backup_secret == "") == (var.backup_fingerprint == "")
        message = "backup_secret and backup_fingerprint belong together: a server that the inventory does not have needs both, one that it has needs neither"
      }
    }
  }

  task "G1.63 add the server as a storage" {
    when = var.backup_storage != null
    pvesm {
      id            = var.backup_storage.id
      type          = "pbs"
      content       = ["backup"]
      backup_server = var.backup_fingerprint == "" ? vars.server : null
      password      = var.backup_fingerprint == "" ? null : var.backup_secret
      options = merge({
        server        = var.backup_storage.server == null ? hosts[vars.server].address : var.backup_storage.server
        datastore     = var.backup_storage.datastore == null ? var.backup_datastore.name : var.backup_storage.datastore
        username      = var.backup_storage.username == null ? "${var.backup_token.user}!${var.backup_token.name}" : var.backup_storage.username
        prune-backups = "keep-all=1" # the server prunes
      }, var.backup_fingerprint == "" ? {} : { fingerprint = var.backup_fingerprint })
    }
  }

  task "G1.63 back up the guests by schedule" {
    when     = var.backup_storage != null
    for_each = var.backup_jobs
    backup_job {
      id       = each.key
      schedule = each.value.schedule
      storage  = var.backup_storage.id
      guests   = each.value.guests
      except   = each.value.guests == null ? [for test in var.backup_tests : test.id] : null
      keep     = each.value.keep
    }
  }

  task "G1.63 test by schedule that backups can be restored" {
    for_each = { for guest, test in var.backup_tests : guest => test if host.name == (test.node == null ? groups.pve[0] : test.node) }
    test_restore {
      guest    = each.key
      storage  = each.value.storage == null ? var.backup_storage.id : each.value.storage
      target   = each.value.target
      id       = each.value.id
      schedule = each.value.schedule
      prove    = each.value.prove
      watch    = each.value.watch
    }
  }
}
