package apt

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Index is the state of a host's package index in /var/lib/apt/lists.
type Index struct {
	// Exists is set if an index has been fetched at all, even if no source has one.
	Exists bool
	// Age is the time since the index was last updated, by the host's own clock.
	Age time.Duration
	// Stale is set if a source or a key has changed since then.
	Stale bool
}

// stampFile is the file whose modification time records when the index was last completely updated. Debian's
// update-notifier and people's cron jobs use the same name. hlplay touches it after each successful apt-get update,
// because apt gives the files in /var/lib/apt/lists the server's times, and does not touch them if nothing is new.
const stampFile = "/var/lib/apt/periodic/update-success-stamp"

// listsDir is the directory of the index.
const listsDir = "/var/lib/apt/lists"

// PackageIndex observes the package index, under the empty name.
var PackageIndex = &observe.Kind[Index]{
	Complete: func(expected, found Index) Index {
		if expected.Stale && !found.Exists { // a missing index is fetched as a stale one is
			return found
		}
		expected.Age = found.Age // time passes
		return expected
	},
	Name: "apt-index", What: "the age of the package index",
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			{Script: `date +%s`, Inline: true},
			{Script: `stat -c '%y %n' ` + stampFile + ` /var/lib/apt/lists /var/lib/apt/lists/*Release /var/lib/apt/lists/*_Packages*`, Inline: true},
			{Script: `stat -c '%y %n' /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources /etc/apt/trusted.gpg.d/* /etc/apt/keyrings/* /usr/share/keyrings/*`, Inline: true},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Index, error)) {
		index, err := parseIndex(answers[0].Stdout, answers[1], answers[2])
		for _, name := range names {
			tell(name, index, err)
		}
	},
	Holds: func(values map[string]Index) ([]remote.Query, bool) {
		index := values[""]
		switch {
		case !index.Exists:
			return []remote.Query{{Script: holdsIndexScript, Args: []string{"no"}}}, true
		case index.Stale: // its age decides nothing
			return []remote.Query{{Script: holdsIndexScript, Args: []string{"yes"}}}, true
		}
		return nil, false
	},
}

// holdsIndexScript exits with 0 if there is no index and the argument is no, or if there is one and a source or a key is newer, and it
// is yes. Shells that compare whole seconds find fewer files newer than others.
const holdsIndexScript = `_w=$1 _i=no
for _f in ` + listsDir + `/*Release ` + listsDir + `/*_Packages*; do
[ ! -e "$_f" ] || _i=yes
done
if [ -e ` + stampFile + ` ]; then
set -- ` + stampFile + `
if [ -d ` + listsDir + ` ] && [ ! ` + listsDir + ` -nt ` + stampFile + ` ]; then _i=yes; fi
else
set -- ` + listsDir + ` ` + listsDir + `/*Release ` + listsDir + `/*_Packages*
fi
[ $_i = "$_w" ] || exit 1
[ $_i = yes ] || exit 0
for _f in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources /etc/apt/trusted.gpg.d/* /etc/apt/keyrings/* /usr/share/keyrings/*; do
[ -e "$_f" ] || continue
_n=yes
for _l; do
if [ -e "$_l" ] && [ ! "$_f" -nt "$_l" ]; then _n=no; fi
done
[ $_n = no ] || exit 0
done
exit 1`

func parseIndex(clock []byte, lists, sources remote.Answer) (Index, error) {
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(clock)), 10, 64)
	if err != nil {
		return Index{}, fmt.Errorf("date +%%s printed %q, expected the seconds since 1970", clock)
	}
	fetched, err := observe.ParseTimes(lists)
	if err != nil {
		return Index{}, err
	}
	changed, err := observe.ParseTimes(sources)
	if err != nil {
		return Index{}, err
	}
	var index Index
	var newest, newestSource time.Time
	for name, t := range fetched {
		// A trusted source without a Release file has only its list of packages.
		if strings.HasSuffix(name, "Release") || strings.Contains(name, "_Packages") {
			index.Exists = true
		}
		if t.After(newest) {
			newest = t
		}
	}
	if stamp, ok := fetched[stampFile]; ok {
		newest = stamp
		// If no source is enabled, there is nothing to fetch. If somebody empties the directory, its time is later
		// than the stamp.
		dir, there := fetched[listsDir]
		index.Exists = index.Exists || there && !dir.After(stamp)
	}
	for _, t := range changed {
		if t.After(newestSource) {
			newestSource = t
		}
	}
	if index.Exists {
		index.Age = max(0, time.Unix(seconds, 0).Sub(newest))
		index.Stale = newestSource.After(newest)
	}
	return index, nil
}
