# Shared by everything that may install another kernel or write the names of network cards: the stages kernel and network, upgrade.hcl
# and pve8-to-9.hcl.

host_variable "network_pin" {
  description = "Pin the names of the network cards to their MAC addresses before the kernel changes, because another kernel may name them differently."
  type        = bool
  default     = true
}
