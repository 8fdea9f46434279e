play "Proxmox VE" {
  hosts = "pve"

  # Debian's installer writes allow-hotplug, which ifupdown2 ignores at boot. Proxmox VE replaces ifupdown with
  # ifupdown2. This takes effect at the next boot; nothing is reloaded.
  task "G1.7 bring up interfaces at boot with ifupdown2 too" {
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

  task "G1.7 install Proxmox VE, postfix, open-iscsi, chrony" {
    apt {
      packages = ["proxmox-ve", "postfix", "open-iscsi", "chrony"]
      debconf = {
        "postfix/main_mailer_type" = "select Local only"
        "postfix/mailname"         = "string ${host.name}.${host.vars.domain}"
      }
    }
    timeout = "1h"
  }

  # The guide deletes pve-install-repo.list here, the repository that it has just added. The one to disable is the
  # enterprise repository that the packages bring.
  task "G1.10 disable the enterprise repository" {
    when = var.repository != "enterprise"
    apt {
      disable_uris = ["https://enterprise.proxmox.com"]
    }
  }

  # Including those of cloud images and backports. Refused while one of them is running.
  task "G1.8 remove Debian's kernel" {
    apt {
      packages = ["linux-image-amd64", "linux-image-cloud-amd64", "linux-image-[0-9]*"]
      state    = "absent"
    }
    notify = ["boot menu"]
  }

  task "G1.9 remove os-prober" {
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

  task "G1.11 start the services" {
    for_each = toset(["pve-cluster", "pvedaemon", "pveproxy"])
    service {
      name    = each.value
      state   = "started"
      enabled = true
    }
  }

  # The certificate is the node's own: what it must be comes over SSH.
  task "G1.12 check that the web interface answers" {
    http {
      url         = "https://${can(regex(":", host.address)) ? "[${host.address}]" : host.address}:8006/"
      from        = var.web_interface_from
      certificate = var.web_interface_from == "controller" ? ["/etc/pve/local/pveproxy-ssl.pem", "/etc/pve/local/pve-ssl.pem"] : []
      insecure    = var.web_interface_from == "host"
      timeout     = "2m"
    }
  }
}
