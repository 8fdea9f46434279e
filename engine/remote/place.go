package remote

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed scripts/*.sh scripts/*.pl
var scripts embed.FS

// script returns an embedded script without its comments.
func script(name string) string {
	text, err := scripts.ReadFile("scripts/" + name + ".sh")
	if err != nil {
		panic(err) // it is embedded in the program
	}
	return code(string(text))
}

// code returns a script without its comments and empty lines.
func code(text string) string {
	var code strings.Builder
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "#") {
			code.WriteString(line)
		}
	}
	return code.String()
}

// Place defines the functions that keep a reading shell from following what another user controls, among them `_hl_read
// PATH LIMIT`, which must be called in a subshell and prints the beginning of a regular file. place.sh says what is
// trusted.
var Place = script("place")

// Enter defines the function `_hl_cd PATH CODE`, which changes the working directory under the same rules as Place.
// PATH is absolute and clean (path.Clean). On failure, it prints why and exits the shell with CODE. It needs Place only
// if there is a symbolic link on the way; otherwise it starts no process.
var Enter = script("enter")

// entering is Enter for a shell that may lack Place.
var entering = Place + Enter

// same defines the function that checks whether what a script is about to replace is what was seen.
var same = script("same")

// placeScripts maps the names of the acting shell's functions to the scripts that create, change or remove what is at a
// path.
var placeScripts = map[string]string{
	"_hl_write":      script("write"),
	"_hl_makedir":    script("makedir"),
	"_hl_attributes": script("attributes"),
	"_hl_remove":     script("remove"),
	"_hl_link":       script("link"),
}

// placeFunctions defines these functions. The acting shell calls each in a subshell, so that it may exit.
var placeFunctions = func() string {
	text := strings.Builder{}
	text.WriteString(same)
	for _, name := range slices.Sorted(maps.Keys(placeScripts)) {
		fmt.Fprintf(&text, "%s() {\n%s}\n", name, placeScripts[name])
	}
	return text.String()
}()

// standalone returns the scripts for a shell of their own, with the functions that they use.
var standalone = sync.OnceValue(func() map[string]string {
	all := make(map[string]string, len(placeScripts))
	for name, text := range placeScripts {
		all[name] = Place + same + text
	}
	return all
})

// own is a command that the acting shell has as a function.
type own struct {
	name string
	args []string
	// byHand is set if the shell's hand has a function of the same name.
	byHand bool
	// summed is set if the last word, behind the content, is the content's sum, by which the hand knows it again.
	summed bool
}

func placing(name string, args ...string) Command {
	return Command{Argv: append([]string{"sh", "-c", standalone()[name], "hlplay"}, args...), Dir: "/", own: own{name: name, args: args, byHand: true}}
}

// word returns a random word, which makes the names of a command's temporary files unique.
func word() string { return nonce()[:12] }

// octal formats a mode for chmod(1); zero is empty.
func octal(m fs.FileMode) string {
	if m == 0 {
		return ""
	}
	return fmt.Sprintf("%o", modeBits(m))
}

// modeBits returns the permission bits as chmod(1) counts them.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m & 0o7777)
	for special, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&special != 0 {
			bits |= bit
		}
	}
	return bits
}

// ownership formats owner and group for chown(1).
func ownership(owner, group string) string {
	if group == "" {
		return owner
	}
	return owner + ":" + group
}

// MakeDir returns the command that creates a directory and its parents, or sets mode and owner of an existing one. A
// zero mode and empty names change nothing; a new directory gets 0755. A symbolic link that belongs to another user, or
// that another user could have made, is not followed.
func MakeDir(path string, mode fs.FileMode, owner, group string) Command {
	return placing("_hl_makedir", path, word(), octal(mode), ownership(owner, group))
}

// SetAttributes returns the command that changes mode and owner of an existing path without following a symbolic link. A nil
// mode and empty names change nothing.
func SetAttributes(path string, mode *fs.FileMode, owner, group string) Command {
	m := ""
	if mode != nil {
		m = fmt.Sprintf("%04o", modeBits(*mode))
	}
	return placing("_hl_attributes", path, word(), m, ownership(owner, group))
}

// Remove returns the command that removes a file, a symbolic link, or a directory, which must be empty unless recursive is
// set. It succeeds if nothing is there. A file or link is removed only if it is what was seen.
func Remove(path string, recursive bool, over Seen) Command {
	return placing("_hl_remove", path, map[bool]string{true: "-r"}[recursive], over.word())
}

// Link returns the command that creates a symbolic link. It atomically replaces what is there, unless that is a
// directory or not what was seen.
func Link(path, target string, over Seen) Command {
	return placing("_hl_link", path, word(), target, over.word())
}
