# What all have in common that may bring another kernel, or write the names of network cards: the stages kernel and network, upgrade.hcl,
# pve8-to-9.hcl.

host_variable "network_pin" {
  description = "Pin the names of the network cards to their MAC addresses before the kernel changes, which may name them differently."
  type        = bool
  default     = true
}
