# Shared by upgrade.hcl and pve8-to-9.hcl, which take one node after the other out of service.

variable "pause" {
  description = "How long to wait between two checks of the cluster's progress."
  type        = string
  default     = "10s"
}

variable "evacuation" {
  description = "Maximum time to wait for the highly available guests to leave a node."
  type        = string
  default     = "15m"
}

variable "local_disks" {
  description = "Copy disks on local storages to the node that the guest moves to, which takes long. Otherwise such a guest stops the run."
  type        = bool
  default     = false
}

# What an earlier run has left on any node is undone before anything is judged.
play "all nodes answer" {
  hosts            = "pve"
  any_errors_fatal = true

  task "Proxmox VE runs" {
    service {
      name  = "pve-cluster"
      state = "started"
    }
  }
}
