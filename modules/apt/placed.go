package apt

import (
	"path"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// SourceFiles observes /etc/apt/sources.list and the *.list and *.sources files in /etc/apt/sources.list.d, in that
// order, under the empty name. Files whose names apt itself would ignore are left out (sources.list(5)).
var SourceFiles = observe.TextFiles("apt-sources", "/etc/apt/sources.list", sourcesDir+"*.list", sourcesDir+"*.sources")

// Configs observes apt's own configuration, /etc/apt/apt.conf and the files in /etc/apt/apt.conf.d, under the empty name (apt.conf(5)).
var Configs = observe.TextFiles("apt-conf", configFile, configDir+"*")

const (
	configFile = "/etc/apt/apt.conf"
	configDir  = "/etc/apt/apt.conf.d/"
)

// outdates returns the expectation that an index, if there is one, is older than a source or a key.
func outdates(h modules.Host) observe.Expectation {
	index := Index{Exists: true}
	if known, ok := h.Known(PackageIndex.Key("")); ok {
		index, _ = known.(Index)
	}
	return PackageIndex.ExpectUpdate("", index, func(i Index) Index {
		i.Stale = i.Exists
		return i
	})
}

// placed returns what a file means to apt: a source or a key makes the index stale.
func placed(h modules.Host, name string, f observe.File) []observe.Expectation {
	switch dir, base := path.Split(name); {
	case name == "/etc/apt/sources.list", dir == sourcesDir && (path.Ext(base) == ".list" || path.Ext(base) == ".sources"):
		return []observe.Expectation{observe.ExpectTextFile(h, SourceFiles, name, f), outdates(h)}
	case name == configFile, dir == configDir:
		return []observe.Expectation{observe.ExpectTextFile(h, Configs, name, f)}
	case name == "/etc/apt/preferences", dir == "/etc/apt/preferences.d/":
		return []observe.Expectation{{
			Match:   func(k observe.Key) bool { return k.Kind == Candidates.Name || k.Kind == Transactions.Name },
			Unknown: "an earlier task changes a pin",
		}}
	case dir == "/etc/apt/trusted.gpg.d/", dir == "/etc/apt/keyrings/", dir == "/usr/share/keyrings/":
		return []observe.Expectation{outdates(h)}
	}
	return nil
}
