package pve

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"

	"hlplay/modules"
)

// digestOf returns what Proxmox VE calls the digest of a configuration file: its version, which commands that change
// the file compare while holding the file's lock.
func digestOf(content []byte) string {
	sum := sha1.Sum(content)
	return hex.EncodeToString(sum[:])
}

// Versioned returns a command that changes a configuration file only if the file still has that digest. If several
// steps change the same file, only the first one can know the version. An empty digest is unknown, and nothing is
// compared.
func Versioned(run modules.Run, file, digest string) modules.Run {
	if digest != "" {
		run.Argv = append(slices.Clip(run.Argv), "--digest", digest)
		run.Stale = &modules.Stale{Path: file, Says: "detected modified configuration"}
	}
	return run
}
