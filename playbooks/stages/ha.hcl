play "high availability" {
  hosts = "pve"

  # The guide "creates an LRM" here. There is nothing to create: it runs on every node.
  task "G1.51 G2.15 make guests highly available" {
    for_each = var.ha_resources
    ha {
      resource {
        sid          = each.key
        state        = "started"
        max_restart  = 1
        max_relocate = 1
      }
    }
  }

  task "G1.50 set the nodes that guests prefer" {
    for_each = var.ha_resources
    ha {
      placement {
        name      = "prefer-${replace(each.key, ":", "-")}"
        nodes     = each.value.nodes
        resources = [each.key]
      }
    }
  }
}
