package observe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/remote"
)

// Checksum holds the checksums of a file's content in lower-case hexadecimal. Both are empty if the file is absent. One
// is empty if check mode predicts a download for which only the other was given.
type Checksum struct {
	SHA256, SHA512 string
}

// Checksums observes the checksums of regular files by path, with both algorithms that publishers use.
var Checksums = &Kind[Checksum]{
	Complete: func(expected, found Checksum) Checksum {
		if expected.SHA256 != "" || expected.SHA512 != "" { // either one identifies the file
			expected.SHA256 = cmp.Or(expected.SHA256, found.SHA256)
			expected.SHA512 = cmp.Or(expected.SHA512, found.SHA512)
		}
		return expected
	},
	Name: "checksum", What: "the checksum of %s", Holds: holdsChecksums,
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

// holdsChecksumsScript compares a file's SHA-256 and SHA-512 checksums, of which one may be empty, because it is not known. Both
// are if the file is absent. The script of the checksums is in parentheses already.
var holdsChecksumsScript = `_o="$` + sumScript("sha256sum sha512sum") + `"
_r=$?
[ -n "$2$3" ] || { [ $_r = 2 ]; exit; }
[ $_r = 0 ] || exit 1
_nl='
'
_a=${_o%%"$_nl"*} _b=${_o#*"$_nl"}
_a=${_a%% *} _b=${_b%% *}
[ "${2:-$_a}" = "$_a" ] && [ "${3:-$_b}" = "$_b" ]`

// holdsChecksums is Checksums.Holds.
func holdsChecksums(values map[string]Checksum) (queries []remote.Query, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if checkPath(name) != nil {
			return nil, false
		}
		queries = append(queries, remote.Query{Script: holdsChecksumsScript, Args: []string{name, values[name].SHA256, values[name].SHA512}})
	}
	return queries, true
}
