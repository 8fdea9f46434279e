# G1.53 to G1.56: a device of each node gets one name, and guests that use it stay on the nodes that have one.
#
#   hlplay run playbooks/mapping.hcl -i inventory -e @vars.hcl --check --diff
#
# The devices are passed through first: playbooks/stages/passthrough.hcl. A machine that has the raw device of one node gets the mapping
# instead if it is among machines: { "100" = { name = "render", options = { hostpci0 = "mapping=gpu,pcie=1" } } }. While it is running it keeps
# the raw device; the mapping takes effect at its next start.

variable "mapping" {
  description = "Name of the mapping, to which guests refer: hostpci0 = \"mapping=gpu\"."
  type        = string
}

variable "devices" {
  description = "The PCI device of each node: { pve1 = \"0000:01:00.0\", pve2 = \"0000:41:00.0\" }."
  type        = map(string)
}

variable "guests" {
  description = "Service IDs of the guests that use it: [\"vm:100\"]."
  type        = list(string)
  default     = []
}

variable "machines" {
  description = "Machines that get the mapping instead of the raw device, by ID: their name, which is checked, and the option hostpciN or usbN."
  type        = map(object({ name = string, options = map(string) }))
  default     = {}
}

play "one name for a device of each node" {
  hosts = "pve"

  task "G1.53 G1.54 map the device of every node" {
    mapping {
      pci {
        id      = var.mapping
        devices = var.devices
      }
    }
  }

  task "G1.55 replace the raw device by the mapping" {
    for_each = var.machines
    qm {
      id      = tonumber(each.key)
      name    = each.value.name
      options = each.value.options
    }
  }

  task "G1.56 make the guests highly available" {
    for_each = toset(var.guests)
    ha {
      resource {
        sid          = each.key
        state        = "started"
        max_restart  = 1
        max_relocate = 1
      }
    }
  }

  task "G1.56 keep the guests on nodes that have the device" {
    when = length(var.guests) > 0
    ha {
      placement {
        name      = "has-${var.mapping}"
        nodes     = { for node in keys(var.devices) : node => 1 }
        resources = var.guests
        strict    = true
      }
    }
  }
}
