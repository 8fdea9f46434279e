package observe

import (
	"cmp"
	"fmt"
	"strings"

	"hlplay/engine/remote"
)

// Checksum is what a file's content hashes to, in lower-case hexadecimal. Both are empty for a file
// that is absent; one is where check mode predicts a download of which only the other is given.
type Checksum struct {
	SHA256, SHA512 string
}

// Checksums observes regular files by path, as publishers of keys state their sums.
var Checksums = &Kind[Checksum]{
	Complete: func(expected, found Checksum) Checksum {
		if expected.SHA256 != "" || expected.SHA512 != "" { // one of them is enough to know a file by
			expected.SHA256 = cmp.Or(expected.SHA256, found.SHA256)
			expected.SHA512 = cmp.Or(expected.SHA512, found.SHA512)
		}
		return expected
	},
	Name: "checksum", What: "the checksum of %s",
	Ask: func(names []string) []remote.Query {
		return eachPath(names, sumScript("sha256sum sha512sum"))
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Checksum, error)) {
		parseEachPath(names, answers, tell, func(name string, a remote.Answer) (Checksum, error) {
			if a.Exit == exitAbsent {
				return Checksum{}, nil
			}
			fields := strings.Fields(string(a.Stdout))
			if a.Exit != 0 || len(fields) != 4 || len(fields[0]) != 64 || len(fields[2]) != 128 {
				return Checksum{}, fmt.Errorf("the checksums of %s: %s: %s", name, remote.Ending(a.Exit), LastLine(a.Stderr))
			}
			return Checksum{SHA256: fields[0], SHA512: fields[2]}, nil
		})
	},
}
