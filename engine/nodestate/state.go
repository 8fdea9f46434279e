package nodestate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// State is everything that hlplay keeps on a node.
type State struct {
	// Due are the handlers that are due, in the order in which they became due.
	Due []Due
	// Running are the long commands that are running or whose end was not read yet, the oldest first.
	Running []Long
	// Lock is the run that holds the node's lock, even if it has ended without releasing it. It is nil if there is no lock.
	Lock *Holder
	// Undo are the changes that the node will undo, or has undone.
	Undo []Undo
	// Refused says why the records are not trusted or cannot be read. If it is set, the other fields but Unwritable are
	// empty.
	Refused string
	// Unwritable says why nothing can be recorded on the node; empty if no reason is known.
	Unwritable string
}

// reading is the shell code that prints the records. It starts no program if there are none.
const reading = holding + `_hl_at=
` + detaching + `_v=` + Dir + `
if [ -L "$_v" ] || { [ -e "$_v" ] && [ ! -d "$_v" ]; }; then
	echo "refused it is not a directory"
elif [ ! -d "$_v" ]; then
	[ -d /var/lib ] && [ -w /var/lib ] || echo "unwritable /var/lib cannot be written to"
elif [ ! -r "$_v" ] || [ ! -x "$_v" ]; then
	echo "refused only root may read it"
else
	[ -w "$_v" ] || echo "unwritable it cannot be written to"
	_n=
	for _f in "$_v"/due/*; do
		[ -e "$_f" ] || continue
		[ -n "$_n" ] || stat -c 'of %u %a %F' "$_v" "$_v/due"
		_n=due
		printf 'due %s ' "${_f##*/}"
		_t=
		[ ! -f "$_f" ] || [ -L "$_f" ] || read -r _t <"$_f" || :
		printf '%s\n' "$_t"
	done
	for _f in "$_v"/undo/*; do
		[ -d "$_f" ] && [ "${_f%.kept}" = "$_f" ] || continue
		[ -n "$_n" ] || stat -c 'of %u %a %F' "$_v"
		[ "$_n" = undo ] || stat -c 'of %u %a %F' "$_v/undo"
		_n=undo _t=- _s=0
		{ read -r _t <"$_f/what"; } 2>/dev/null || :
		if [ "${_f%.undone}" != "$_f" ]; then
			_s=-
			{ read -r _s <"$_f/end"; } 2>/dev/null || :
			_f=${_f##*/}
			printf 'undo undone %s %s %s\n' "${_f%.undone}" "$_s" "$_t"
		else
			{ read -r _s <"$_f/until"; read -r _hl_t _hl_l </proc/uptime; } 2>/dev/null || :
			printf 'undo armed %s %s %s\n' "${_f##*/}" "$((${_s:-0} - ${_hl_t%%.*}))" "$_t"
		fi
	done
	_u=
	` + reporting + `
	if [ -f "$_v/lock" ] && [ ! -L "$_v/lock" ]; then
		[ -n "$_n$_u" ] || stat -c 'of %u %a %F' "$_v"
		_hl_who lock
		_hl_lives || _hl_y=dead
		printf 'lock %s %s\nholder %s\n' "$_hl_y" "$_hl_l" "$_hl_t"
	fi
fi`

// States observes a node's State, under the empty name.
var States = &observe.Kind[State]{
	Name: "nodestate",
	What: "hlplay's records in " + Dir,
	// The run knows its own records without asking again.
	Lasting: true,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: reading, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, State, error)) {
		for _, name := range names {
			if a := answers[0]; a.Exit != 0 {
				tell(name, State{}, fmt.Errorf("%s cannot be read (exit code %d): %s", Dir, a.Exit, strings.TrimSpace(string(a.Stderr))))
				continue
			}
			tell(name, parse(string(answers[0].Stdout)), nil)
		}
	},
}

// undoID matches the ID of an Undo.
var undoID = pattern.New(`^[0-9A-Z]{26}$`)

// id matches the results of Name.
var id = pattern.New(`^[0-9a-f]{32}$`)

// Read reads the answer to a query that prints a State.
func Read(a remote.Answer) State { return parse(string(a.Stdout)) }

// parse reads the output of reading.
func parse(text string) State {
	var s State
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "refused":
			s.Refused = Dir + ": " + rest
		case "unwritable":
			s.Unwritable = Dir + ": " + rest
		case "of":
			if why := loose(rest); why != "" {
				s.Refused = fmt.Sprintf("%s: %s; nothing in it is trusted, find out who created it", Dir, why)
			}
		case "undo":
			s.undo(rest)
		case "lock":
			s.lock(rest)
		case "running":
			s.running(rest)
		case "holder":
			s.holder(rest)
		case "due":
			name, content, _ := strings.Cut(rest, " ")
			if !id.MatchString(name) {
				continue
			}
			var d Due
			if json.Unmarshal([]byte(content), &d) != nil || Name(d.Play, d.Handler) != name {
				d = Due{}
			}
			d.ID = name
			s.Due = append(s.Due, d)
		}
	}
	if s.Refused != "" {
		s.Due, s.Running, s.Lock, s.Undo = nil, nil, nil, nil
	}
	slices.SortStableFunc(s.Running, func(a, b Long) int { return a.Since.Compare(b.Since) })
	slices.SortStableFunc(s.Due, func(a, b Due) int { return a.Since.Compare(b.Since) })
	return s
}

// loose says why users other than root could have written to a directory, judging by its owner's ID, its mode and its
// type. It returns "" if they could not.
func loose(record string) string {
	fields := strings.SplitN(record, " ", 3)
	switch {
	case len(fields) != 3:
		return "stat printed " + record
	case fields[2] != "directory":
		return "it contains a " + fields[2]
	case fields[0] != "0":
		return "it is owned by UID " + fields[0] + ", not by root"
	case fields[1] != "700":
		return "its mode is " + fields[1] + ", not 700"
	}
	return ""
}
