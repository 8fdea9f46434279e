play "Proxmox VE" {
  hosts = "pve"

  # Debian's installer writes allow-hotplug, which ifupdown2 does not bring up at boot. It comes with Proxmox VE and
  # takes ifupdown's place. This is for the next boot; nothing is reloaded.
  task "G1.7 interfaces with an address come up at boot with ifupdown2 too" {
    for_each = toset([for name, i in facts.interfaces : name if name != "lo" && length(i.addresses) > 0])
    file {
      path = "/etc/network/interfaces"
      line {
        state  = "replaced"
        regexp = "^(allow-hotplug|auto)\\s+${replace(each.key, ".", "\\.")}\\s*$"
        line   = "auto ${each.key}"
      }
    }
  }

  task "G1.7 Proxmox VE, postfix, open-iscsi, chrony" {
    apt {
      packages = ["proxmox-ve", "postfix", "open-iscsi", "chrony"]
      debconf = {
        "postfix/main_mailer_type" = "select Local only"
        "postfix/mailname"         = "string ${host.name}.${host.vars.domain}"
      }
    }
    timeout = "1h"
  }

  # The guide deletes pve-install-repo.list here, the source that it has just added. The right target
  # is the enterprise source that the packages bring.
  task "G1.10 enterprise source off without a subscription" {
    when = var.repository != "enterprise"
    apt {
      disable_uris = ["https://enterprise.proxmox.com"]
    }
  }

  # Those of cloud images and of backports, too. Refused as long as one of them runs.
  task "G1.8 Debian's kernel is gone" {
    apt {
      packages = ["linux-image-amd64", "linux-image-cloud-amd64", "linux-image-[0-9]*"]
      state    = "absent"
    }
    notify = ["boot menu"]
  }

  task "G1.9 os-prober is gone" {
    apt {
      packages = ["os-prober"]
      state    = "absent"
    }
    notify = ["boot menu"]
  }

  handler "boot menu" {
    command {
      argv   = ["update-grub"]
      always = true
    }
  }

  task "G1.11 services are up" {
    for_each = toset(["pve-cluster", "pvedaemon", "pveproxy"])
    service {
      name    = each.value
      state   = "started"
      enabled = true
    }
  }

  task "G1.12 the web interface answers" {
    wait_for {
      address = host.address
      port    = 8006
      timeout = "2m"
    }
  }
}
