package machine

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

const standInMark = "simulated: stands in for the file of "

// StandIn returns content that stands in for a file of which only the checksums are known, such as a vendor's signing
// key. The simulated sha256sum, sha512sum and apt-helper report the given checksums (hexadecimal, empty if unknown)
// instead of the content's own.
func StandIn(sha256, sha512 string) []byte {
	return fmt.Appendf(nil, "%ssha256 %s sha512 %s\n", standInMark, cmp.Or(sha256, "-"), cmp.Or(sha512, "-"))
}

// digestOf returns the checksum of content in hexadecimal or, if content stands in for a file, that of the file.
func digestOf(h hash.Hash, content []byte) string {
	if rest, ok := strings.CutPrefix(string(content), standInMark); ok {
		f := strings.Fields(rest)
		for i := 0; i+1 < len(f); i += 2 {
			if len(f[i+1]) == h.Size()*2 && f[i+1] != "-" {
				return f[i+1]
			}
		}
	}
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
