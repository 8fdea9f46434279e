package nodestate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// State is what hlplay keeps on a node.
type State struct {
	// Due are the handlers that are due, the longest first.
	Due []Due
	// Running are the long commands that are running there, or whose end nobody has read, the oldest first.
	Running []Long
	// Lock is who holds the lock, or has held it and not given it back; nil if nobody does.
	Lock *Holder
	// Undo are changes that the node takes back by itself, or has taken back.
	Undo []Undo
	// Refused says why nothing there is believed, or nothing can be read; empty if that is not so.
	Refused string
	// Unwritable says why nothing can be kept there; empty if that is not known.
	Unwritable string
}

// reading prints what is kept. Where nothing is, and on a node that hlplay has never changed, it starts no program.
const reading = holding + `_hl_at=
` + detaching + `_v=` + Dir + `
if [ -L "$_v" ] || { [ -e "$_v" ] && [ ! -d "$_v" ]; }; then
	echo "refused it is no directory"
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

// States are what is kept on a node, under the empty name.
var States = &observe.Kind[State]{
	Name: "nodestate",
	What: "what hlplay keeps in " + Dir,
	// What this run itself keeps, it knows.
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

// undoID is what names an Undo.
var undoID = regexp.MustCompile(`^[0-9A-Z]{26}$`)

// id is what Name makes.
var id = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Read reads the answer to a query that prints a State.
func Read(a remote.Answer) State { return parse(string(a.Stdout)) }

// parse reads what reading prints.
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
				s.Refused = fmt.Sprintf("%s: %s; nothing in it is believed, see who made it", Dir, why)
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

// loose says why a directory is not root's alone, by its owner's id, its mode and its type; empty if it is.
func loose(record string) string {
	fields := strings.SplitN(record, " ", 3)
	switch {
	case len(fields) != 3:
		return "stat printed " + record
	case fields[2] != "directory":
		return "a part of it is a " + fields[2]
	case fields[0] != "0":
		return "it belongs to the user with the id " + fields[0] + " and not to root"
	case fields[1] != "700":
		return "its mode is " + fields[1] + " and not 700"
	}
	return ""
}
