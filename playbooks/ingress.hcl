# Publish services of hosts that nobody outside reaches: Caddy takes the requests on a host with a public address, and frp passes them on
# through a connection that the serving host opens by itself. So it may be behind NAT, and its address may change.
#
#   hlplay run playbooks/ingress.hcl -i inventory -e @ingress-secrets.hcl --check --diff
#   hlplay run playbooks/ingress.hcl -i inventory -e @ingress-secrets.hcl
#   hlplay rehearse playbooks/ingress.hcl -i inventory -e frp_token=abcdefghijklmnop
#
# The public host, with Debian 13, is in the group edge; each host that serves, such as a guest, is in the group services and names what it
# publishes. Where nobody publishes anything, nothing is done, not even on the public host.
#
#   vars = {
#     publish = [{ name = "web", url = "https://www.example.org", port = 8080 }]
#   }
#
# The name in each URL leads to the public host by DNS. Its firewall lets in TCP ports 80 and 443, for Caddy, and 7000, for frp. For https://
# Caddy obtains certificates itself. Keep frp_token encrypted (hlplay secret encrypt).
#
# Caddy and frp run in containers. With docker = false they are services of systemd: Caddy is Debian's, and frp its authors' release, whose
# checksum is named by frp_sha256. Remove one way before you change to the other: both listen at the same ports.
#
# A rehearsal reaches http:// URLs alone, at a name that is also a host's in the inventory; for others give --skip-tags outside.

host_variable "publish" {
  description = "The services that the host publishes: name, which must be unique; url, at which the service is reached from outside (http:// or https:// and a name); and port, on which it listens for HTTP on the host itself."
  type = list(object({
    name = string
    url  = string
    port = number
  }))
  default = []
  hosts   = var.services_hosts
  validation {
    condition     = alltrue([for s in host.vars.publish : can(regex("^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", s.url)) && can(regex("^[a-z0-9-]+$", s.name))])
    error_message = "A url is http:// or https:// and a name in lower case, as in https://www.example.org; a name has lower-case letters, digits and hyphens."
  }
  validation {
    condition     = length(host.vars.publish) == 0 || var.frp_token != ""
    error_message = "A host that publishes needs a token: set frp_token, encrypted, as in -e @ingress-secrets.hcl."
  }
}

variable "edge_host" {
  description = "The one host with a public address, or its group."
  type        = string
  default     = "edge"
}

variable "services_hosts" {
  description = "The group of the hosts that publish services, or the one host."
  type        = string
  default     = "services"
}

variable "frp_token" {
  description = "The secret with which hosts authenticate to frp on the edge: at least 16 letters and digits, such as openssl rand -hex 32 prints."
  type        = string
  default     = ""
  sensitive   = true
  validation {
    condition     = var.frp_token == "" || can(regex("^[A-Za-z0-9]{16,}$", var.frp_token))
    error_message = "The token has at least 16 letters and digits, and nothing else."
  }
}

variable "frp_server" {
  description = "The address at which the publishing hosts reach the edge; by default that of the inventory."
  type        = string
  default     = ""
}

variable "frp_version" {
  description = "Version of frp on both sides."
  type        = string
  default     = "v0.65.0"
}

variable "docker" {
  description = "Run Caddy and frp in containers instead of as systemd services."
  type        = bool
  default     = true
}

variable "frp_sha256" {
  description = "Without Docker, the SHA-256 checksums of frp's release by architecture: { amd64 = \"…\" }, from the release's frp_sha256_checksums.txt."
  type        = map(string)
  default     = {}
  validation {
    condition     = var.docker || length(var.frp_sha256) > 0
    error_message = "Without Docker, frp is downloaded, and its checksum is required: -e 'frp_sha256={amd64=\"…\"}', from the release's frp_sha256_checksums.txt."
  }
}

variable "caddy_version" {
  description = "Version of Caddy in a container."
  type        = string
  default     = "2.10.0"
}

variable "caddy_options" {
  description = "Global options of Caddy: [\"email admin@example.org\"] for notices about certificates, or [\"local_certs\"] for certificates of its own authority, which only clients that know it trust."
  type        = list(string)
  default     = []
}

variable "answers_within" {
  description = "How long to wait until a service answers from outside. Caddy may first have to obtain a certificate."
  type        = string
  default     = "2m"
}

play "front door" {
  hosts = var.edge_host

  vars = {
    services     = flatten([for name in try(groups[var.services_hosts], [var.services_hosts]) : hosts[name].vars.publish])
    architecture = try({ x86_64 = "amd64", aarch64 = "arm64" }[facts.kernel.architecture], facts.kernel.architecture) # as frp names it
    caddy_global = length(var.caddy_options) == 0 ? "" : "{\n\t${join("\n\t", var.caddy_options)}\n}\n"
    frps = jsonencode({
      bindPort      = 7000
      proxyBindAddr = "127.0.0.1" # only Caddy reaches the port below
      vhostHTTPPort = 8080
      auth          = { token = var.frp_token }
    })
  }

  task "G2.12 check that one host is the edge and that names and URLs are unique" {
    assert {
      condition {
        test    = length(play.hosts) == 1
        message = "${join(", ", play.hosts)} cannot all be the edge: name one host with edge_host"
      }
      condition {
        test    = length(distinct(vars.services[*].name)) == length(vars.services) && length(distinct(vars.services[*].url)) == length(vars.services)
        message = "two services have the same name or url in publish"
      }
    }
  }

  task "G2.12 install Docker on the edge" {
    when = var.docker
    apt {
      packages = ["docker.io", "docker-cli", "docker-compose"]
    }
  }

  task "G2.12 publish on the edge: Caddy takes requests, frps passes them on" {
    when = var.docker
    compose {
      directory = "/srv/edge"
      files = {
        "frp/frps.json"   = vars.frps
        "caddy/Caddyfile" = join("", concat([vars.caddy_global], [for s in vars.services : "${s.url} {\n\treverse_proxy 127.0.0.1:8080\n}\n"]))
        "compose.yml"     = <<-EOT
          services:
            caddy:
              image: caddy:${var.caddy_version}
              network_mode: host
              restart: unless-stopped
              volumes:
                - ./caddy:/etc/caddy:ro
                - data:/data
            frps:
              image: ghcr.io/fatedier/frps:${var.frp_version}
              command: ["-c", "/etc/frp/frps.json"]
              network_mode: host
              restart: unless-stopped
              volumes:
                - ./frp:/etc/frp:ro
          volumes:
            data:
        EOT
      }
    }
  }

  import "roles/frp" {
    when = !var.docker
    vars = { program = "frps", settings = vars.frps, release = var.frp_version, architecture = vars.architecture, sha256 = var.frp_sha256 }
  }

  task "G2.12 install Caddy on the edge" {
    when = !var.docker
    apt {
      packages = ["caddy"]
    }
  }

  task "G2.12 Caddy takes requests, and passes them to frps" {
    when = !var.docker
    file {
      path     = "/etc/caddy/Caddyfile"
      content  = join("", concat([vars.caddy_global], [for s in vars.services : "${s.url} {\n\treverse_proxy 127.0.0.1:8080\n}\n"]))
      mode     = "0644"
      validate = ["caddy", "validate", "--adapter", "caddyfile", "--config", "/dev/stdin"]
    }
    notify = ["reload Caddy"]
  }

  task "G2.12 start Caddy" {
    when = !var.docker
    service {
      name    = "caddy"
      state   = "started"
      enabled = true
    }
  }

  handler "reload Caddy" {
    service {
      name  = "caddy"
      state = "reloaded"
    }
  }
}

play "published services" {
  hosts = var.services_hosts

  vars = {
    architecture = try({ x86_64 = "amd64", aarch64 = "arm64" }[facts.kernel.architecture], facts.kernel.architecture) # as frp names it
    frpc = jsonencode({
      serverAddr    = var.frp_server == "" ? hosts[try(groups[var.edge_host][0], var.edge_host)].address : var.frp_server
      serverPort    = 7000
      loginFailExit = false # it goes on trying: the edge may be restarting
      auth          = { token = var.frp_token }
      proxies = [for s in host.vars.publish : {
        name          = s.name
        type          = "http"
        localIP       = "127.0.0.1"
        localPort     = s.port
        customDomains = [split("://", s.url)[1]]
      }]
    })
  }

  task "G2.12 install Docker where services run" {
    when = var.docker && length(host.vars.publish) > 0
    apt {
      packages = ["docker.io", "docker-cli", "docker-compose"]
    }
  }

  task "G2.12 publish the services: frpc connects them with the edge" {
    when = var.docker && length(host.vars.publish) > 0
    compose {
      directory = "/srv/publish"
      files = {
        "frp/frpc.json" = vars.frpc
        "compose.yml"   = <<-EOT
          services:
            frpc:
              image: ghcr.io/fatedier/frpc:${var.frp_version}
              command: ["-c", "/etc/frp/frpc.json"]
              network_mode: host
              restart: unless-stopped
              volumes:
                - ./frp:/etc/frp:ro
        EOT
      }
    }
  }

  import "roles/frp" {
    when = !var.docker && length(host.vars.publish) > 0
    vars = { program = "frpc", settings = vars.frpc, release = var.frp_version, architecture = vars.architecture, sha256 = var.frp_sha256 }
  }
}

play "look from outside" {
  hosts = var.services_hosts
  tags  = ["outside"]

  # 404 comes from frps: no frpc has logged in with the same token, or nothing listens at the service's port.
  task "G2.13 check from the controller that each service answers through the front door" {
    for_each = { for s in host.vars.publish : s.name => s.url }
    http {
      url     = "${each.value}/"
      from    = "controller"
      timeout = var.answers_within
    }
  }
}
