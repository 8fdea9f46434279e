play "host names" {
  hosts = "pve"

  task "G1.2 map every node's name to its LAN address" {
    file {
      path = "/etc/hosts"
      block {
        marker  = "hlplay: cluster"
        content = join("\n", [for name in groups.pve : "${hosts[name].address} ${name}.${host.vars.domain} ${name}"])
      }
    }
  }

  task "G1.2 remove the installer's 127.0.1.1 line" {
    file {
      path = "/etc/hosts"
      line {
        regexp = "^127\\.0\\.1\\.1\\s"
        state  = "absent"
      }
    }
  }

  task "G1.2 check that the host's name resolves to its LAN address" {
    assert {
      condition {
        test    = contains(facts.name_addresses, host.address)
        message = "${host.name} resolves to ${join(", ", facts.name_addresses)}, not to ${host.address}: pve-cluster would not start"
      }
      condition {
        test    = alltrue([for a in facts.name_addresses : !startswith(a, "127.")])
        message = "${host.name} resolves to a loopback address as well: pve-cluster would not start"
      }
    }
  }
}
