package sysctl

import "hlplay/engine/observe"

const etc = "/etc/sysctl.d/*.conf"

// bootFiles observes the files from which systemd-sysctl configures the kernel at boot (sysctl.d(5)). Its only name is "".
// Masked files appear as empty.
var bootFiles = observe.TextFiles("sysctl-files", etc, "/run/sysctl.d/*.conf", "/usr/local/lib/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf")

// placed returns the expectations that follow from placing a file that systemd-sysctl reads.
var placed = observe.PlacedText(bootFiles, etc)
