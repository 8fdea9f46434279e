# frps or frpc as a service of systemd, from the release of frp that its authors publish: Debian has no package of it.

variable "program" {
  description = "What the host runs: frps, which others connect to, or frpc, which connects to it."
  type        = string
  validation {
    condition     = contains(["frps", "frpc"], var.program)
    error_message = "The program is frps or frpc."
  }
}

variable "settings" {
  description = "The settings of the program, as JSON. They contain the token."
  type        = string
  sensitive   = true
}

variable "release" {
  description = "Version of frp: v0.65.0."
  type        = string
}

variable "sha256" {
  description = "SHA-256 checksum of the release by architecture (amd64, arm64), as its frp_sha256_checksums.txt has it."
  type        = map(string)
}

variable "architecture" {
  description = "The host's architecture, as in the name of the release: amd64, arm64."
  type        = string
}

locals {
  archive   = "frp_${trimprefix(var.release, "v")}_linux_"
  directory = "/opt/frp-${trimprefix(var.release, "v")}"
}

task "check that the checksum of the release is given" {
  assert {
    condition {
      test    = contains(keys(var.sha256), var.architecture)
      message = "${host.name} needs frp for ${var.architecture}, and frp_sha256 has no checksum for it: take that of ${local.archive}${var.architecture}.tar.gz from frp_sha256_checksums.txt of the release"
    }
  }
}

task "fetch frp" {
  download {
    url    = "https://github.com/fatedier/frp/releases/download/${var.release}/${local.archive}${var.architecture}.tar.gz"
    path   = local.directory
    sha256 = var.sha256[var.architecture]
    unpack = true
    strip  = 1
  }
}

task "directory of its settings" {
  file {
    path  = "/etc/frp"
    state = "directory"
    mode  = "0755"
  }
}

task "settings" {
  file {
    path    = "/etc/frp/${var.program}.json"
    content = var.settings
    mode    = "0600"
  }
  notify = ["restart frp"]
}

# The program runs as a user of its own, which systemd lets read the settings.
task "service" {
  systemd_unit {
    name    = "${var.program}.service"
    content = <<-EOT
      [Unit]
      Description=frp: publish services of hosts behind NAT (${var.program})
      Wants=network-online.target
      After=network-online.target
      StartLimitIntervalSec=0

      [Service]
      ExecStart=${local.directory}/${var.program} -c %d/settings.json
      LoadCredential=settings.json:/etc/frp/${var.program}.json
      DynamicUser=yes
      ProtectHome=yes
      PrivateDevices=yes
      Restart=always
      RestartSec=5

      [Install]
      WantedBy=multi-user.target
    EOT
  }
  notify = ["restart frp"]
}

task "start it" {
  service {
    name    = var.program
    state   = "started"
    enabled = true
  }
}

handler "restart frp" {
  service {
    name  = var.program
    state = "restarted"
  }
}
