# The client of Proxmox Backup Server, for hosts that only send backups to a server. Nodes of Proxmox VE have it already, and backup.hcl
# installs it on the server.
#
#   hlplay rehearse playbooks/backup-client.hcl -i inventory
#   hlplay run playbooks/backup-client.hcl -i inventory -e backup_clients=web1
#
# The hosts are those in the group backup_clients. They get the repository that contains only the client.

import "release-keys.hcl" {}

variable "backup_clients" {
  description = "Pattern of the hosts that get the client."
  type        = string
  default     = "backup_clients"
}

play "backup clients" {
  hosts = var.backup_clients

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
        name       = "pbs-client"
        uris       = ["http://download.proxmox.com/debian/pbs-client"]
        suites     = [facts.distribution.codename]
        components = ["main"]
        signed_by  = vars.key.path
      }
    }
  }

  task "G1.62 install the client" {
    apt {
      packages = ["proxmox-backup-client"]
    }
  }
}
