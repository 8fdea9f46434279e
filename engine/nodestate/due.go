// Package nodestate keeps hlplay's own records on a node between runs: the handlers that are due there, the long commands
// that are running, the run that is changing the node, and the changes that the node is to undo. It records nothing about
// the node's configuration, which is observed.
//
// The records are small files, one per item, and one directory per command, below a directory that only root can enter. The
// shell writes and removes them with builtins, in the same flight as the step that they describe, so that a fault between
// two flights cannot lose one. File names alone carry what is essential, because a power failure may leave a file without
// its content.
package nodestate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Dir is the directory of the records on a node.
const Dir = "/var/lib/hlplay"

// Due is a handler that has to run on a node because a task that notifies it has started to change the node.
type Due struct {
	// ID is the name of the handler's file: see Name.
	ID string `json:"-"`
	// Play and Handler identify the handler. They are empty if a fault has lost the file's content.
	Play    string `json:"play"`
	Handler string `json:"handler"`
	// Task is the task that notified the handler, at File and Line of a playbook.
	Task     string `json:"task"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Playbook string `json:"playbook"`
	// Run is the run that the task belonged to, and By the person and the controller, as in "ada@desk".
	Run   string    `json:"run"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
}

// Name returns the ID of a play's handler.
func Name(play, handler string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(play+"\x00"+handler)))[:32]
}

// String says which handler is due, since when and why.
func (d Due) String() string {
	if d.Handler == "" {
		return "a handler is due, but its record is damaged and does not name it (" + d.ID + ")"
	}
	if d.Task == "" {
		return fmt.Sprintf("handler %q of play %q is due; its record is damaged and does not say since when or why", d.Handler, d.Play)
	}
	return fmt.Sprintf("handler %q of play %q is due since %s: %s", d.Handler, d.Play, moment(d.Since), d.Why())
}

// Why says which task made the handler due.
func (d Due) Why() string {
	return fmt.Sprintf("task %q (%s:%d) started a change in a run by %s that ended before the handler ran", d.Task, d.File, d.Line, d.By)
}

// moment formats a time for people.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// making is the shell code for writing records: it creates the directories and rejects them if they are symbolic links.
// Their owner and mode are checked before anything in them is trusted (see States).
const making = `_hl_v=` + Dir + `
_hl_own() {
	[ -d "$_hl_v/due" ] || mkdir -m 700 "$_hl_v" "$_hl_v/due" || [ -d "$_hl_v/due" ]
	[ ! -L "$_hl_v" ] && [ ! -L "$_hl_v/due" ]
}
`

// text returns the content of the handler's file, one line of ASCII.
func (d Due) text() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings, a number and a time can always be marshaled
	}
	return ascii(b)
}

// ascii escapes everything but printable ASCII in JSON, so that any program can read it back byte by byte.
func ascii(b []byte) string {
	var s strings.Builder
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			s.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&s, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&s, `\u%04x`, r)
		}
	}
	return s.String()
}

// Clear returns the query that removes the records of handlers that have run. It succeeds if there are none, and fails if
// the directory cannot be read.
func Clear(ids ...string) remote.Query {
	return remote.Query{
		Script: `[ -e "$1" ] || exit 0; cd "$1" && shift && exec rm -f -- "$@"`, Args: append([]string{Dir + "/due"}, ids...), Hand: "clear",
	}
}
