package observe

import (
	"maps"
	"path"
	"slices"

	"hlplay/engine/remote"
)

// Programs observes whether a command can be found: a name in PATH, or the absolute path of an executable.
var Programs = &Kind[bool]{
	Name: "program", What: "whether the host has the program %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Query{Script: `command -v "$1" >/dev/null`, Args: []string{name}, Inline: true}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		for i, name := range names {
			tell(name, answers[i].Exit == 0, answers[i].Err)
		}
	},
	Holds: func(values map[string]bool) ([]remote.Query, bool) {
		var args []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			expected := "yes"
			if !values[name] {
				expected = "no"
			}
			args = append(args, name, expected)
		}
		return []remote.Query{{Script: holdsProgramsScript, Args: args}}, true
	},
}

// holdsProgramsScript compares which programs can be found. Its arguments are names, each followed by "yes" or "no".
const holdsProgramsScript = `while [ $# -gt 0 ]; do
command -v "$1" >/dev/null && _c=yes || _c=no
[ "$_c" = "$2" ] || exit 1
shift 2
done`

// programDirs are the directories in the default PATH.
var programDirs = map[string]bool{"/usr/local/sbin": true, "/usr/local/bin": true, "/usr/sbin": true, "/usr/bin": true, "/sbin": true, "/bin": true}

// placedProgram returns how placing f at name affects Programs.
func placedProgram(name string, f File) []Expectation {
	var expect []Expectation
	state := func(program string) {
		switch {
		case f.Type == Regular && f.Mode&0o111 != 0:
			expect = append(expect, Programs.Expect(program, true))
		default: // PATH has other directories, and a link may lead to a program
			expect = append(expect, Programs.Unknown(program, name+" is about to change"))
		}
	}
	inPath := programDirs[path.Dir(name)]
	if inPath || f.Type == Regular && f.Mode&0o111 != 0 {
		state(name)
	}
	if inPath {
		state(path.Base(name))
	}
	return expect
}
