# What the stages kernel and network have in common.

host_variable "network_pin" {
  description = "Pin the names of the network cards to their MAC addresses before the kernel changes, which may name them differently."
  type        = bool
  default     = true
}
