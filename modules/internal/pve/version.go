package pve

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"

	"hlplay/modules"
)

// digestOf is what Proxmox VE calls the digest of a configuration file: its version, which the commands that change the file compare
// under the file's lock.
func digestOf(content []byte) string {
	sum := sha1.Sum(content)
	return hex.EncodeToString(sum[:])
}

// Versioned is a command that changes a configuration file only if it is as it was when it had that digest. Of several steps that change the same
// file, only the first can know the version. An empty digest is not known, and then nothing is compared.
func Versioned(run modules.Run, file, digest string) modules.Run {
	if digest != "" {
		run.Argv = append(slices.Clip(run.Argv), "--digest", digest)
		run.Stale = &modules.Stale{Path: file, Says: "detected modified configuration"}
	}
	return run
}
