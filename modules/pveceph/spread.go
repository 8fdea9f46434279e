package pveceph

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// insert adds a rule to the CRUSH map, for which ceph itself only knows the simple form. Its arguments are Ceph's
// configuration, the name of the rule, what it takes, the type of its failure domain, how many OSDs it chooses in each, the
// number of copies to test it with, and where to keep the previous map.
//
// The map is changed as text, which keeps only a few decimals of the weights. The new map is therefore compared with the old
// one, and set only if the old one is still the cluster's.
const insert = `set -eu
umask 077
conf=$1 name=$2 take=$3 domain=$4 per=$5 copies=$6 kept=$7
dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
cd "$dir"
ceph -c "$conf" --connect-timeout 10 osd getcrushmap -o map 2>version || { cat version >&2; exit 1; }
version=$(tail -n 1 version)
case $version in ''|*[!0-9]*) echo "ceph osd getcrushmap reports no version of the map: $version" >&2; exit 1;; esac
crushtool -d map -o text
id=0
while read -r key value rest; do
  if [ "$key" = id ] && [ "$value" -ge "$id" ]; then id=$((value+1)); fi
done <text
printf 'rule %s {\n\tid %s\n\ttype replicated\n\tstep take %s\n\tstep choose firstn 0 type %s\n\tstep chooseleaf firstn %s type osd\n\tstep emit\n}\n' "$name" "$id" "$take" "$domain" "$per" >>text
crushtool -c text -o new
crushtool -i new --test --show-bad-mappings --rule "$id" --num-rep "$copies" >bad
if [ -s bad ]; then echo "the rule finds no places for $copies copies: $(head -n 1 bad); nothing is changed" >&2; exit 1; fi
crushtool -i map --compare new >compared || [ -s compared ]
told=no
while read -r _ rule _ share _; do
  case $share in
  [0-9]*/[0-9]*) told=yes; if [ "${share%/*}" -gt $((${share#*/}/100)) ]; then
    echo "rule $rule would choose other OSDs in $share cases, because the map loses precision as text; nothing is changed" >&2; exit 1; fi;;
  esac
done <compared
[ "$told" = yes ] || { echo "crushtool --compare reports nothing about the rules; nothing is changed" >&2; exit 1; }
cp -- map "$kept$version"
ceph -c "$conf" --connect-timeout 10 osd setcrushmap "$version" -i new
`

// keptMaps is the prefix of the files that keep CRUSH maps before a change, followed by their version.
const keptMaps = "/var/backups/ceph-crushmap-"

// insert returns the step that adds a rule which lets copies share a failure domain.
func (r *Rule) insert(h modules.Host, want ceph.CrushRule, after map[string]ceph.CrushRule, places map[string]int) modules.Step {
	take := r.Root
	if r.DeviceClass != "" {
		take += " class " + r.DeviceClass
	}
	// Test with as many copies as the rule can still place if one host has room for only one. Racks and other buckets are not
	// considered.
	copies := 2
	if r.FailureDomain == "host" {
		room := 0
		for _, osds := range places {
			room += min(osds, r.PerDomain)
		}
		copies = min(max(room-r.PerDomain+1, 2), 10)
	}
	run := modules.Run{
		Argv: []string{"sh", "-c", insert, "sh", linkTarget, r.Name, take, r.FailureDomain, strconv.Itoa(r.PerDomain), strconv.Itoa(copies), keptMaps},
		Env:  map[string]string{"LC_ALL": "C"}, Limit: 2 * time.Minute,
		// Another change of the map came in between.
		Retry: []string{"prior_version"}, Patience: time.Minute,
		Explain: explain,
	}
	return modules.Step{
		Summary: fmt.Sprintf("add CRUSH rule %s (%s), tried for %d copies; the old map is kept in %sVERSION", r.Name, describeRule(want), copies, keptMaps),
		Action:  run,
		Diff: &modules.Diff{Subject: "CRUSH map", After: strings.Join([]string{
			"rule " + r.Name + ": take " + take, "choose firstn 0 type " + r.FailureDomain, fmt.Sprintf("chooseleaf firstn %d type osd", r.PerDomain), "emit", "",
		}, "\n")},
		Expect:  pve.Everywhere(h, ceph.CrushRules.Expect("", after)),
		Settle:  20 * time.Second,
		Await:   "the new rule",
		Objects: []string{crushObject.Name},
		Risk:    modules.MovesData, // the map is set as a whole, but the host first compares both maps, and limits how much moves
		Wide:    true,
	}
}
