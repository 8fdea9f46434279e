package apt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// queryLimit bounds a read-only run of apt, which may have to rebuild its cache first.
const queryLimit = 2 * time.Minute

// Candidate is what apt would install for a package.
type Candidate struct {
	// Version is the candidate's version; empty if no source offers the package.
	Version string
	// Installed is the installed version; empty if there is none.
	Installed string
	// Listed is set if a source has a version of the package. If there is no candidate nevertheless, the package is
	// pinned below zero.
	Listed bool
	// Versions are the versions that the sources have and the installed one, newest first.
	Versions []string
	// Remark is apt's note about a package that no source offers, if it has one.
	Remark string
}

// Candidates observes, with `apt-cache policy`, what apt would install for packages.
var Candidates = &observe.Kind[Candidate]{
	Name: "apt-candidate", What: "whether and in which version a source offers package %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{remote.Argv(queryLimit, append([]string{"apt-cache", "policy", "--"}, names...)...)}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Candidate, error)) {
		a := answers[0]
		var err error
		if a.Exit != 0 {
			err = queryError("apt-cache policy", a)
		}
		policies := parsePolicy(a.Stdout)
		for _, name := range names {
			c := policies[name]
			c.Remark = remark(name, a.Stderr)
			tell(name, c, err)
		}
	},
}

// remark returns apt's note ("N: …") that mentions a package, if it says more than that the package cannot be located.
func remark(name string, stderr []byte) string {
	for _, line := range observe.Lines(stderr) {
		if note, ok := strings.CutPrefix(line, "N: "); ok && !strings.HasPrefix(note, "Unable to locate package") && slices.Contains(strings.FieldsFunc(note, func(r rune) bool {
			return r == ' ' || r == ';' || r == ',' || r == '"' || r == ':'
		}), name) {
			return note
		}
	}
	return ""
}

// parsePolicy parses blocks of the form "NAME:\n Installed: V\n Candidate: V\n Version table:…". apt omits packages
// that it does not know at all.
func parsePolicy(out []byte) map[string]Candidate {
	policies := map[string]Candidate{}
	name := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && line[0] != ' ' {
			name = strings.TrimSuffix(line, ":")
			policies[name] = Candidate{}
			continue
		}
		if version, ok := tableVersion(line); ok && name != "" {
			c := policies[name]
			c.Versions = append(c.Versions, version)
			policies[name] = c
			continue
		}
		label, version, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok && name != "" && strings.HasSuffix(line, " Packages") {
			c := policies[name]
			c.Listed = true
			policies[name] = c
		}
		if !ok || name == "" {
			continue
		}
		if version == "(none)" {
			version = ""
		}
		c := policies[name]
		switch label {
		case "Installed":
			c.Installed = version
		case "Candidate":
			c.Version = version
		}
		policies[name] = c
	}
	return policies
}

// tableVersion returns the version in a line of the form " *** VERSION PRIORITY" or "     VERSION PRIORITY". The lines of
// sources are indented further.
func tableVersion(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "     ")
	if !ok {
		rest, ok = strings.CutPrefix(line, " *** ")
	}
	fields := strings.Fields(rest)
	if !ok || len(fields) != 2 || rest[0] == ' ' {
		return "", false
	}
	return fields[0], true
}

// QueryError is the failure of an apt command that reads.
type QueryError struct {
	// Command is the command that was run; Problem is what it reported: its "E:" lines.
	Command, Problem string
	Exit             int
}

func (e *QueryError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Command, remote.Ending(e.Exit), strings.ReplaceAll(e.Problem, "\n", "; "))
}

func queryError(command string, a remote.Answer) error {
	problem := problemOf(a.Stdout, a.Stderr)
	if problem == "" {
		problem = observe.LastLine(a.Stderr)
	}
	return &QueryError{Command: command, Exit: a.Exit, Problem: problem}
}

// Providers observes the sorted names of the packages that provide a virtual package, which `apt-cache showpkg` lists
// under "Reverse Provides".
var Providers = &observe.Kind[[]string]{
	Name: "apt-providers", What: "which packages provide %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{remote.Argv(queryLimit, append([]string{"apt-cache", "showpkg", "--"}, names...)...)}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []string, error)) {
		var err error
		if answers[0].Exit != 0 {
			err = queryError("apt-cache showpkg", answers[0])
		}
		providers := parseShowpkg(answers[0].Stdout)
		for _, name := range names {
			tell(name, providers[name], err)
		}
	},
}

func parseShowpkg(out []byte) map[string][]string {
	providers := map[string][]string{}
	name, listing := "", false
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if next, ok := strings.CutPrefix(line, "Package: "); ok {
			name, listing = next, false
			continue
		}
		if line == "Reverse Provides:" {
			listing = true
			continue
		}
		if fields := strings.Fields(line); listing && len(fields) > 1 && !slices.Contains(providers[name], fields[0]) {
			providers[name] = append(providers[name], fields[0])
		}
	}
	for _, all := range providers {
		slices.Sort(all)
	}
	return providers
}
