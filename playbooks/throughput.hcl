# G1.18: the throughput of Ceph's network between each pair of nodes, in both directions, with one stream and with several. The links are full
# meanwhile, a few seconds for each: run it before there are guests, or at a quiet time. Refused while high availability is armed and a
# link of corosync lies on the same network cards.
#
#   hlplay run playbooks/throughput.hcl -i inventory
#   hlplay run playbooks/throughput.hcl -i inventory -e throughput_floor=90 -v     what iperf3 prints, too

import "variables.hcl" {}

variable "throughput_floor" {
  description = "Minimum throughput of a link, in percent of its speed."
  type        = number
  default     = 80
}

variable "throughput_single_floor" {
  description = "The same with a single stream, which uses only one card of a bond."
  type        = number
  default     = 40
}

variable "throughput_speed" {
  description = "The speed of the links in Mbit/s; 0 means what the drivers of the network cards report."
  type        = number
  default     = 0
}

play "throughput" {
  hosts            = "pve"
  any_errors_fatal = true

  task "G1.18 install iperf3" {
    apt {
      packages = ["iperf3"]
    }
  }

  task "G1.18 check that the network carries what it should" {
    when = host.vars.ceph_address != ""
    throughput {
      to           = { for name in groups.pve : name => hosts[name].vars.ceph_address if name != host.name && hosts[name].vars.ceph_address != "" }
      floor        = var.throughput_floor
      single_floor = var.throughput_single_floor
      speed        = var.throughput_speed
    }
  }
}
