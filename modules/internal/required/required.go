// Package required rejects, before anything is changed, what a task needs and its host does not have, so that check
// mode reports it too. In check mode it cannot be known what a package that an earlier task installs will bring: this
// is then reported as unknown.
package required

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// coming holds, in check mode, the names of the packages that earlier tasks install. It is never fetched; for a real
// host nothing is coming.
var coming = &observe.Kind[[]string]{Name: "apt-coming"}

// Coming returns the names of the packages that, in check mode, earlier tasks install on h.
func Coming(h modules.Host) []string {
	known, _ := h.Known(coming.Key(""))
	names, _ := known.([]string)
	return slices.Clone(names)
}

// ExpectComing returns the expectation that a step installs packages in addition to those that are already coming.
func ExpectComing(h modules.Host, names []string) observe.Expectation {
	return coming.Expect("", append(Coming(h), names...))
}

// unknown returns the error for something that a coming package may bring.
func unknown(h modules.Host, key observe.Key, what string) error {
	return &observe.UnknownError{Host: h.Name(), Key: key, What: what, Because: "a package that an earlier task installs may provide it"}
}
