# A Docker Compose project with Debian's Docker, from an image that the test serves.

variable "site" {
  type        = string
  description = "Where the test serves packages."
}
variable "keyring" {
  type        = string
  description = "File on the controller with the key that signs the packages."
}
variable "registry" {
  type        = string
  description = "Host and port of the registry that the test serves."
}
variable "page" {
  type        = string
  description = "What the web server answers, from a file that it mounts."
  default     = "one"
}
variable "port" {
  type        = number
  description = "Where the web server listens."
  default     = 8080
}
variable "second" {
  type        = bool
  description = "Whether there is a second service, on a network of Docker's own."
  default     = true
}
variable "health" {
  type        = string
  description = "The port that the health check of the web server asks."
  default     = "8080"
}
variable "timeout" {
  type        = string
  description = "How long the containers may take to become healthy."
  default     = "20m"
}
variable "state" {
  type        = string
  description = "Whether the project exists."
  default     = "present"
}

play "compose" {
  hosts = "nodes"

  task "repository" {
    apt {
      key {
        path   = "/usr/share/keyrings/e2e.gpg"
        source = var.keyring
      }
      repository {
        name       = "e2e"
        uris       = [var.site]
        suites     = ["bookworm"]
        components = ["main"]
        signed_by  = "/usr/share/keyrings/e2e.gpg"
      }
    }
  }
  task "directory of Docker's settings" {
    file {
      path  = "/etc/docker"
      state = "directory"
    }
  }
  task "registry without TLS" {
    file {
      path    = "/etc/docker/daemon.json"
      content = "${jsonencode({ insecure-registries = [var.registry] })}\n"
    }
  }
  task "Docker" {
    apt {
      packages = ["docker.io", "docker-cli", "docker-compose"]
    }
  }
  task "project" {
    compose {
      directory = "/srv/web"
      state     = var.state
      timeout   = var.timeout
      files = {
        "page/index.html" = "${var.page}\n"
        "compose.yml"     = <<-EOT
          services:
            web:
              image: ${var.registry}/web:1.0
              command: ["/web", ":${var.port}", "/page/index.html"]
              network_mode: host
              restart: unless-stopped
              volumes:
                - ./page:/page:ro
              healthcheck:
                test: ["CMD", "/web", "ask", "http://127.0.0.1:${var.health}/"]
                interval: 1s
                retries: 3
          %{if var.second}
            inner:
              image: ${var.registry}/web:1.0
              command: ["/web", ":80", "/page/index.html"]
              ports: ["127.0.0.1:8081:80"]
              volumes:
                - ./page:/page:ro
          %{endif}
        EOT
      }
    }
  }
}
