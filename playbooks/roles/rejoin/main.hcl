# Waits until a restarted node is part of the cluster again: it has a quorum, and Ceph has caught up with what was written meanwhile.

variable "tries" {
  description = "How often to check whether the node has a quorum."
  type        = number
}

variable "pause" {
  description = "How long to wait between two checks."
  type        = string
}

task "wait until the node has a quorum again" {
  command {
    argv  = ["pvecm", "status"]
    reads = true
  }
  retries = var.tries
  delay   = var.pause
}

task "all placement groups are active and clean again" {
  pveceph {
    clean {
      timeout = "30m"
    }
  }
}
