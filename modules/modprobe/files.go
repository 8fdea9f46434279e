package modprobe

import "hlplay/engine/observe"

const etc = "/etc/modprobe.d/*.conf"

// configFiles observes the files that modprobe reads (modprobe.d(5)); masked ones appear as empty. Its only name is "".
var configFiles = observe.TextFiles("modprobe-files", etc, "/run/modprobe.d/*.conf", "/usr/local/lib/modprobe.d/*.conf", "/usr/lib/modprobe.d/*.conf")

// placed returns the expectations that follow from placing a file that modprobe reads.
var placed = observe.PlacedText(configFiles, etc)
