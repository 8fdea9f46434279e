package pvecm

import (
	"fmt"
	"strings"

	"hlplay/engine/observe"
)

// lastWords returns why one of the following scripts failed.
func lastWords(_ int, _, stderr []byte) error {
	if line := observe.LastLine(stderr); line != "" {
		return fmt.Errorf("%s; see journalctl -u corosync -u pve-cluster", line)
	}
	return nil
}

func trimmed(text string) string { return strings.TrimRight(text, "\n") }

// loaded defines until_loaded, which waits until corosync has loaded a version. pmxcfs notifies corosync about a second
// after the file has changed. If corosync rejects the file, it keeps its version.
const loaded = `until_loaded() {
	n=0
	until corosync-cmapctl -g totem.config_version 2>/dev/null | grep -q " = $1\$"; do
		n=$((n + 1))
		[ $n -lt 30 ] || { echo "corosync has not loaded version $1 within 30 seconds" >&2; exit 1; }
		sleep 1
	done
}
`

// proven succeeds if corosync has loaded version $1, is quorate, and reaches $2 nodes over each link in the remaining
// arguments.
const proven = `corosync-cmapctl -g totem.config_version | grep -q " = $1\$" || { echo "corosync has not loaded version $1" >&2; exit 1; }
corosync-quorumtool -s | grep -q '^Quorate: *Yes' || { echo "no quorum" >&2; exit 1; }
want=$2
shift 2
for link; do
	reached=$(corosync-cfgtool -s | while read -r word _ third _; do
		case $word in
		LINK) at=$third ;;
		nodeid:) [ "$at" != "$link" ] || echo "$third" ;;
		esac
	done | grep -c '^connected$')
	[ "$reached" = "$want" ] || { echo "link$link reaches $reached of $want nodes" >&2; exit 1; }
done`

// putBack restores the links as they were, in a version above the current one, because pmxcfs does not distribute a lower
// one. If an address was changed, the link has to be removed first. The script needs a quorum, which the remaining link
// preserves. Without one it tries for two minutes and then leaves the file alone, as it does if someone else has changed
// the file since. It may be interrupted and run again.
//
// The arguments are the old file, the same file as Proxmox VE formats it, an intermediate version to load first (empty if
// there is none), and the files that the change wrote. Their versions do not matter.
const putBack = loaded + `f=/etc/pve/corosync.conf was=$1 old=$2 between=$3
shift 3
n=0
until now=$(cat $f); do
	n=$((n + 1))
	[ $n -lt 60 ] || { echo "$f cannot be read: it stays as it is" >&2; exit 1; }
	sleep 2
done
v=$(printf '%s\n' "$now" | sed -n 's/^  config_version: //p')
plain() { printf '%s\n' "$1" | sed '/^ *config_version: /d'; }
is=$(plain "$now")
[ "$is" != "$(plain "$was")" ] && [ "$is" != "$(plain "$old")" ] || exit 0
ours=
for wrote; do
	[ "$is" != "$(plain "$wrote")" ] || ours=yes
done
[ -n "$ours" ] || { echo "$f was changed by somebody else since: it is left as it is" >&2; exit 1; }
put() {
	v=$((v + 1)) n=0
	until printf '%s\n\n' "$1" | sed "s/^  config_version: .*/  config_version: $v/" >$f.new && mv $f.new $f; do
		n=$((n + 1))
		[ $n -lt 60 ] || { echo "$f cannot be written: without a quorum it stays as it is" >&2; exit 1; }
		sleep 2
	done
	until_loaded $v
}
[ -z "$between" ] || put "$between"
put "$old"`
