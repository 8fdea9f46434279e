# Backups of the cluster's guests: Proxmox Backup Server on a host of its own, the storage by which the nodes reach it, and
# scheduled backups.
#
#   hlplay rehearse playbooks/backup.hcl -i inventory
#   hlplay run playbooks/backup.hcl -i inventory --tags server
#   hlplay run playbooks/backup.hcl -i inventory -e @backup.hcl
#
# The server is the host in the group backup, a bare Debian. Its datastore, user and token are made on it once, by a person: the server
# prints the secret of a token a single time.
#
#   proxmox-backup-manager datastore create main /srv/backup --gc-schedule daily
#   proxmox-backup-manager user create pve@pbs
#   proxmox-backup-manager user generate-token pve@pbs cluster
#   proxmox-backup-manager acl update /datastore/main DatastoreBackup --auth-id pve@pbs
#   proxmox-backup-manager acl update /datastore/main DatastoreBackup --auth-id 'pve@pbs!cluster'
#   proxmox-backup-manager cert info
#
# Give the secret as backup_secret, encrypted (hlplay secret encrypt), and the fingerprint of the certificate as backup_fingerprint.

import "release-keys.hcl" {}

variable "backup_server" {
  description = "Pattern of the host that becomes the backup server."
  type        = string
  default     = "backup"
}

variable "backup_storage" {
  description = "The storage by which the cluster reaches it: id, the server's address, datastore, and the user or token."
  type = object({
    id        = string
    server    = string
    datastore = string
    username  = string
  })
  default = null
}

variable "backup_secret" {
  description = "The secret of the token, or the user's password."
  type        = string
  default     = ""
  sensitive   = true
}

variable "backup_fingerprint" {
  description = "The SHA-256 fingerprint of the server's certificate, as proxmox-backup-manager cert info prints it."
  type        = string
  default     = ""
  validation {
    condition     = var.backup_fingerprint == "" || can(regex("^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}$", var.backup_fingerprint))
    error_message = "A fingerprint is 32 pairs of hexadecimal digits with colons between them."
  }
}

variable "backup_jobs" {
  description = "Scheduled backups by their ids: when they run, which guests (all, if left out), and how many backups of each are kept."
  type = map(object({
    schedule = string
    guests   = optional(list(number))
    keep     = optional(map(number), { last = 3, daily = 7, weekly = 4, monthly = 6 })
  }))
  default = { nightly = { schedule = "02:30" } }
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

  task "G1.61 wait until it answers" {
    wait_for {
      port = 8007
    }
  }
}

play "backups of the cluster" {
  hosts = "pve"
  tags  = ["storage"]

  task "G1.63 check that the storage is described whole" {
    when = var.backup_storage != null
    assert {
      condition {
        test    = var.backup_secret != "" && var.backup_fingerprint != ""
        message = "backup_storage needs backup_secret and backup_fingerprint: the head of this playbook says where they come from"
      }
    }
  }

  task "G1.63 add the server as a storage" {
    when = var.backup_storage != null
    pvesm {
      id       = var.backup_storage.id
      type     = "pbs"
      content  = ["backup"]
      password = var.backup_secret
      options = {
        server      = var.backup_storage.server
        datastore   = var.backup_storage.datastore
        username    = var.backup_storage.username
        fingerprint = var.backup_fingerprint
      }
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
      keep     = each.value.keep
    }
  }
}
