package pve

import (
	"fmt"
	"strings"

	"hlplay/engine/remote"
)

// nodeQuery asks what a host is by itself, for Nodes and CephNodes, which mostly travel together: the same query
// of a flight is sent once. Apart from dpkg-query and readlink all is the shell's own work.
var nodeQuery = remote.Query{Script: `read -r _n </proc/sys/kernel/hostname
_n=${_n%%.*}
echo "name $_n"
while read -r _line; do
  case $_line in VERSION_CODENAME=*) echo "codename ${_line#*=}" ;; esac
done </etc/os-release
[ -x /usr/bin/ceph-mon ] && [ -x /usr/bin/ceph-osd ] && [ -x /usr/sbin/ceph-volume ] && echo installed
[ -e /run/pve-ceph-install-flag ] && echo installing
if [ -L /etc/ceph/ceph.conf ]; then echo "conf $(readlink /etc/ceph/ceph.conf)"
elif [ -e /etc/ceph/ceph.conf ]; then echo foreign; fi
for _d in mon mgr mds; do [ -d "/var/lib/ceph/$_d/ceph-$_n" ] && echo "$_d"; done
dpkg-query -W -f 'package ${Package} ${Version} ${Status}\n' pve-manager ceph-mon`, Inline: true}

// askNode is the Ask of the kinds that nodeQuery answers.
func askNode([]string) []remote.Query { return []remote.Query{nodeQuery} }

// findings are the answer to nodeQuery by their words: "name", "package ceph-mon".
type findings map[string]string

// parseFindings reads the answer to nodeQuery. dpkg-query(1) ends with 1 where a package is not known.
func parseFindings(a remote.Answer) (findings, error) {
	if a.Exit > 1 {
		return nil, fmt.Errorf("dpkg-query, asked for pve-manager and ceph-mon: %s: %s", remote.Ending(a.Exit), lastLine(a.Stderr))
	}
	f := findings{}
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

func (f findings) has(word string) bool {
	_, ok := f[word]
	return ok
}

// version is that of a package which is installed and configured.
func (f findings) version(name string) (string, bool) {
	version, status, _ := strings.Cut(f["package "+name], " ")
	if !strings.HasSuffix(status, " installed") {
		return "", false
	}
	return version, true
}
