package pve

import (
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// nodeQuery asks about the host itself. Apart from dpkg-query, the shell does everything itself.
var nodeQuery = remote.Query{Script: `read -r _n </proc/sys/kernel/hostname
echo "name ${_n%%.*}"
while read -r _line; do
  case $_line in VERSION_CODENAME=*) echo "codename ${_line#*=}" ;; esac
done </etc/os-release
dpkg-query -W -f 'package ${Package} ${Version} ${Status}\n' pve-manager`, Inline: true}

// Findings is the output of a script that prints a word and its value on each line and runs dpkg-query(1) last:
// "name", "package ceph-mon".
type Findings map[string]string

// ParseFindings parses the answer of such a script. dpkg-query exits with status 1 if it does not know a package.
func ParseFindings(a remote.Answer) (Findings, error) {
	if a.Exit > 1 {
		return nil, fmt.Errorf("listing the installed packages with dpkg-query: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	f := Findings{}
	for line := range strings.Lines(string(a.Stdout)) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "package" {
			name, rest, _ := strings.Cut(value, " ")
			word, value = word+" "+name, rest
		}
		f[word] = strings.Trim(value, `"'`)
	}
	return f, nil
}

// Has reports whether the script printed a word.
func (f Findings) Has(word string) bool {
	_, ok := f[word]
	return ok
}

// Version returns the version of a package that is installed and configured.
func (f Findings) Version(name string) (string, bool) {
	version, status, _ := strings.Cut(f["package "+name], " ")
	if !strings.HasSuffix(status, " installed") {
		return "", false
	}
	return version, true
}
