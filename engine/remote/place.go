package remote

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

//go:embed scripts/*.sh
var scripts embed.FS

// script is a script of ours, without the comments.
func script(name string) string {
	text, err := scripts.ReadFile("scripts/" + name + ".sh")
	if err != nil {
		panic(err) // it is part of the program
	}
	var code strings.Builder
	for line := range strings.Lines(string(text)) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "#") {
			code.WriteString(line)
		}
	}
	return code.String()
}

// Place is what every shell that reads knows, so that what another user controls is not followed: the function
// `_hl_read PATH LIMIT`, which is called in a subshell, prints the beginning of a regular file. Above all
// of place.sh stands what is trusted.
var Place = script("place")

// Enter is the function `_hl_cd PATH CODE`, which makes a directory the working directory as Place does: PATH is absolute and
// clean (path.Clean). If it cannot, it says why and ends the shell with the code. It needs Place only where a
// symbolic link lies on the way, and starts no process elsewhere.
var Enter = script("enter")

// entering is Enter for a shell that may not have Place.
var entering = Place + Enter

// same is what those scripts call that replace something only if it is what was seen.
var same = script("same")

// placeScripts are those that make, change or remove what lies at a path, by the names that they have as functions of the
// acting shell.
var placeScripts = map[string]string{
	"_hl_write":      script("write"),
	"_hl_makedir":    script("makedir"),
	"_hl_attributes": script("attributes"),
	"_hl_remove":     script("remove"),
	"_hl_link":       script("link"),
}

// placeFunctions defines them. The acting shell calls each in a subshell, which it may end.
var placeFunctions = func() string {
	text := strings.Builder{}
	text.WriteString(same)
	for _, name := range slices.Sorted(maps.Keys(placeScripts)) {
		fmt.Fprintf(&text, "%s() {\n%s}\n", name, placeScripts[name])
	}
	return text.String()
}()

// own is a command of ours that the acting shell has as a function.
type own struct {
	name string
	args []string
}

func placing(name string, args ...string) Command {
	script := Place + same + placeScripts[name]
	return Command{Argv: append([]string{"sh", "-c", script, "hlplay"}, args...), Dir: "/", own: own{name, args}}
}

// word is what tells the temporary files of one command from those of any other.
func word() string { return nonce()[:12] }

// octal is a mode as chmod(1) reads it; zero is empty.
func octal(m fs.FileMode) string {
	if m == 0 {
		return ""
	}
	return fmt.Sprintf("%o", modeBits(m))
}

// modeBits are the permission bits as chmod(1) counts them.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m & 0o7777)
	for special, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&special != 0 {
			bits |= bit
		}
	}
	return bits
}

// ownership is what chown(1) reads.
func ownership(owner, group string) string {
	if group == "" {
		return owner
	}
	return owner + ":" + group
}

// MakeDir is the command that makes a directory and its parents, or gives one that is there its mode and owner. A zero
// mode and empty names leave each as it is; a new directory has 0755. Nothing follows a link that
// belongs to another user, or that another user could have put there.
func MakeDir(path string, mode fs.FileMode, owner, group string) Command {
	return placing("_hl_makedir", path, word(), octal(mode), ownership(owner, group))
}

// SetAttributes is the command that changes mode and ownership of what is there, without following a symbolic link.
// A nil mode and empty names leave each as it is.
func SetAttributes(path string, mode *fs.FileMode, owner, group string) Command {
	m := ""
	if mode != nil {
		m = fmt.Sprintf("%04o", modeBits(*mode))
	}
	return placing("_hl_attributes", path, word(), m, ownership(owner, group))
}

// Remove is the command that removes a file, a link, or a directory: an empty one or, if it is to be recursive, with
// what is in it. It succeeds if nothing is there. A file or a link is removed only if it is what was seen.
func Remove(path string, recursive bool, over Seen) Command {
	return placing("_hl_remove", path, map[bool]string{true: "-r"}[recursive], over.word())
}

// Link is the command that makes a symbolic link, or atomically replaces what is there by one unless that is a directory
// or not what was seen.
func Link(path, target string, over Seen) Command {
	return placing("_hl_link", path, word(), target, over.word())
}
