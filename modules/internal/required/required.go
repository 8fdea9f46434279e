// Package required refuses what a task needs and its host does not have, before anything is changed, so that check mode says it too.
// What a package brings that an earlier task installs cannot be known in check mode: it is then reported as unknown.
package required

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// coming are in check mode the names of the packages that earlier tasks install. It is never fetched; a real host has nothing
// coming.
var coming = &observe.Kind[[]string]{Name: "apt-coming"}

// Coming returns the names of the packages that, in check mode, earlier tasks install on h.
func Coming(h modules.Host) []string {
	known, _ := h.Known(coming.Key(""))
	names, _ := known.([]string)
	return slices.Clone(names)
}

// ExpectComing says of a step that it installs packages beside those that are coming already.
func ExpectComing(h modules.Host, names []string) observe.Expectation {
	return coming.Expect("", append(Coming(h), names...))
}

// unknown is the error of what a package that is coming may bring.
func unknown(h modules.Host, key observe.Key, what string) error {
	return &observe.UnknownError{Host: h.Name(), Key: key, What: what, Because: "a package that an earlier task installs may bring it"}
}
