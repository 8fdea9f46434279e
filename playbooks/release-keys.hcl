# The keys that sign Proxmox's packages.

variable "release_key" {
  description = "The key that signs the Proxmox packages: its URL and SHA-256 checksum. The default, null, is Proxmox's own key; set it for a mirror that signs with another key."
  type = object({
    url    = string
    sha256 = string
  })
  default = null
}

locals {
  # By Debian release: where the key is installed, its source and its checksum.
  release_keys = {
    bookworm = {
      path   = "/etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg"
      url    = "https://enterprise.proxmox.com/debian/proxmox-release-bookworm.gpg"
      sha256 = "13a87cec79f2d05f40f125629e4b509080a5c0286608bea273e36be9809ecaba"
    }
    trixie = {
      path   = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
      url    = "https://enterprise.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg"
      sha256 = "136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45"
    }
  }
}
