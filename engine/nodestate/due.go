// Package nodestate is what hlplay keeps on a node from one run to the next: which handlers are due there, which
// long commands are running, and who is changing it. It says nothing of how the node is; that is observed.
//
// It lies in a directory of root's alone, in one small file a thing, and a directory a command. A shell makes and removes each file with no process of its own, in
// the flight of the step that makes it true, so that no fault between two flights loses it. A file's name says all that
// is needed: whatever a power failure leaves of the content.
package nodestate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Dir is where it lies on a node.
const Dir = "/var/lib/hlplay"

// Due is a handler that is to run on a node, because a task that notifies it has begun to change the node.
type Due struct {
	// ID is the name of its file: see Name.
	ID string `json:"-"`
	// Play and Handler are its name. They are empty where a fault has left nothing of the content.
	Play    string `json:"play"`
	Handler string `json:"handler"`
	// Task is the task that has notified it, at File and Line of a playbook.
	Task     string `json:"task"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Playbook string `json:"playbook"`
	// Run is the run in which that was, By the person and the controller, as in "ada@desk".
	Run   string    `json:"run"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
}

// Name is the ID of the handler of a play.
func Name(play, handler string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(play+"\x00"+handler)))[:32]
}

// String says which handler is due, since when and why.
func (d Due) String() string {
	if d.Handler == "" {
		return "a handler is due whose name a fault has lost (" + d.ID + ")"
	}
	if d.Task == "" {
		return fmt.Sprintf("handler %q of play %q is due; since when and why, a fault has lost", d.Handler, d.Play)
	}
	return fmt.Sprintf("handler %q of play %q is due since %s: %s", d.Handler, d.Play, moment(d.Since), d.Why())
}

// Why says which task has made the handler due.
func (d Due) Why() string {
	return fmt.Sprintf("task %q (%s:%d) began to change something in a run of %s that did not come to it", d.Task, d.File, d.Line, d.By)
}

// moment is a time as a person reads it.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// making is what a shell knows that keeps something on a node: root's directories are made, and are not followed anywhere.
// Whose they are is seen before anything in them is believed (see States).
const making = `_hl_v=` + Dir + `
_hl_own() {
	[ -d "$_hl_v/due" ] || mkdir -m 700 "$_hl_v" "$_hl_v/due" || [ -d "$_hl_v/due" ]
	[ ! -L "$_hl_v" ] && [ ! -L "$_hl_v/due" ]
}
`

// text is the content of its file, one line of ASCII.
func (d Due) text() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // it is made of texts, a number and a time
	}
	return ascii(b)
}

// ascii is JSON with what is not printable ASCII as escapes, so that any program can read it back byte by byte.
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

// Clear is what is to be done when handlers have run: they are no longer due. What is not there is cleared; what cannot be
// looked at is not.
func Clear(ids ...string) remote.Query {
	return remote.Query{Script: `[ -e ` + Dir + `/due ] || exit 0; cd ` + Dir + `/due && exec rm -f -- "$@"`, Args: ids}
}
