variable "third" {
  description = "The address of pve3 on link1."
  type        = string
  default     = "10.88.0.13"
}

variable "state" {
  type    = string
  default = "present"
}

play "links" {
  hosts = "all"

  task "a second link" {
    when = var.state == "present"
    pvecm {
      link "1" {
        addresses = { pve1 = "10.88.0.11", pve2 = "10.88.0.12", pve3 = var.third }
        priority  = 20
      }
    }
  }

  task "no second link" {
    when = var.state == "absent"
    pvecm {
      link "1" {
        state = "absent"
      }
    }
  }
}
