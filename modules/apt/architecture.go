package apt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// architecture observes the architecture of the host's packages, such as amd64 (dpkg --print-architecture).
var architecture = &observe.Kind[string]{
	Name: "architecture", What: "the architecture of the packages", Lasting: true,
	Ask: func([]string) []remote.Query {
		return []remote.Query{remote.Argv(queryLimit, "dpkg", "--print-architecture")}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		a, err := answers[0], answers[0].Err
		is := strings.TrimSpace(string(a.Stdout))
		if err == nil && (a.Exit != 0 || is == "") {
			err = fmt.Errorf("dpkg --print-architecture: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
		for _, name := range names {
			tell(name, is, err)
		}
	},
}

// qualified reports whether a package is named with an architecture.
func (r request) qualified() bool { return strings.Contains(r.name, ":") }

// native returns the module with its packages as apt and dpkg name them in what they print: without the host's own architecture, and
// without that of packages for all of them. dpkg-query finds no adduser:amd64, and apt-cache policy answers for bash:amd64 with bash.
func (m *Module) native(ctx context.Context, h modules.Host) (*Module, error) {
	if !slices.ContainsFunc(m.requests(), request.qualified) {
		return m, nil
	}
	own, err := architecture.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	plain := *m
	plain.Packages = nil
	for _, r := range m.requests() {
		if name, of, _ := strings.Cut(r.name, ":"); slices.Contains([]string{own, "native", "all"}, of) {
			r.name = name
		}
		if text := r.String(); !slices.Contains(plain.Packages, text) {
			plain.Packages = append(plain.Packages, text)
		}
	}
	return &plain, nil
}
