# Day two of a running Ceph: its settings, and how much data its OSDs hold. Tasks that move data say how much, and are refused above
# max_moved.
#
#   hlplay run playbooks/day2.hcl -i inventory -e @vars.hcl --check --diff
#
# Everything is off by default: without variables the playbook only checks the cluster's health.

variable "allowed" {
  description = "Known and accepted health checks and flags, such as noout."
  type        = list(string)
  default     = []
}

variable "settings" {
  description = "Settings in [global] of ceph.conf: { mon_osd_down_out_interval = 300 }. Daemons read them when they start."
  type        = map(string)
  default     = {}
}

variable "reweight" {
  description = "Temporary overrides of OSDs: { \"osd.3\" = 0.9 } gives the OSD nine tenths of its weight."
  type        = map(number)
  default     = {}
}

variable "reweight_by" {
  description = "Reweight the OSDs that hold too much by one bounded step: of data (utilization), or of placement groups (pg). The balancer must be off."
  type        = string
  default     = ""
  validation {
    condition     = contains(["", "utilization", "pg"], var.reweight_by)
    error_message = "utilization, pg, or nothing."
  }
}

variable "crush_weight" {
  description = "Weights of OSDs in the CRUSH map, for good: capacities in TiB, not shares: { \"osd.3\" = 1.8 }."
  type        = map(number)
  default     = {}
}

variable "crush_map" {
  description = "Path of a whole CRUSH map: the cluster's, as crushtool -d prints it, with changes. It must agree with crush_weight."
  type        = string
  default     = ""
}

variable "max_moved" {
  description = "How much of the data of a device class, or of a pool, one change may move."
  type        = string
  default     = "10%"
}

play "day two of Ceph" {
  hosts = "pve"

  task "G1.37 G1.38 G1.39 nothing is down, out or nearly full" {
    pveceph {
      health {
        allow = var.allowed
      }
    }
  }

  task "G2.5 set options in ceph.conf" {
    when = length(var.settings) > 0
    pveceph {
      conf {
        settings = var.settings
      }
    }
  }

  task "G1.42 reweight OSDs temporarily" {
    for_each = var.reweight
    pveceph {
      weight {
        osd       = each.key
        reweight  = each.value
        max_moved = var.max_moved
      }
    }
  }

  task "G1.43 set CRUSH weights by capacity" {
    for_each = var.crush_weight
    pveceph {
      weight {
        osd       = each.key
        crush     = each.value
        max_moved = var.max_moved
      }
    }
  }

  task "G1.48 edit the CRUSH map" {
    when = var.crush_map != ""
    pveceph {
      crush {
        map       = file(var.crush_map)
        max_moved = var.max_moved
      }
    }
  }

  task "G1.44 G1.45 reweight overfull OSDs" {
    when = var.reweight_by != ""
    pveceph {
      reweight {
        by        = var.reweight_by
        max_moved = var.max_moved
      }
    }
  }

  task "G1.37 all placement groups are active and clean" {
    pveceph {
      clean {
        timeout = "12h"
      }
    }
  }
}
