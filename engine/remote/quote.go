package remote

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// quote quotes s as one word of a POSIX shell. Only NUL bytes cannot be quoted, and no argument or environment variable
// of a Unix process can contain one.
func quote(s string) (string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", errors.New("a NUL byte cannot be part of an argument or an environment variable")
	}
	if word, err := syntax.Quote(s, syntax.LangPOSIX); err == nil {
		return word, nil
	}
	// The library rejects what POSIX has no escape for: control characters and bytes that are not UTF-8. Within single
	// quotes, shells read these unchanged.
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'", nil
}

// Quote quotes words as a line for a POSIX shell.
func Quote(words []string) (string, error) { return quoteAll(words) }

// quoteAll quotes words as a line.
func quoteAll(words []string) (string, error) {
	var line strings.Builder
	for i, s := range words {
		word, err := quote(s)
		if err != nil {
			return "", fmt.Errorf("argument %d: %w", i, err)
		}
		if i > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(word)
	}
	return line.String(), nil
}

// exports returns the lines that set environment variables, sorted by name.
func exports(env map[string]string) (string, error) {
	names := make([]string, 0, len(env))
	for name := range env {
		names = append(names, name)
	}
	slices.Sort(names)
	var script strings.Builder
	for _, name := range names {
		if !isName(name) {
			return "", fmt.Errorf("environment variable %q: want a name of letters, digits and underscores", name)
		}
		word, err := quote(env[name])
		if err != nil {
			return "", fmt.Errorf("environment variable %s: %w", name, err)
		}
		fmt.Fprintf(&script, "export %s=%s\n", name, word)
	}
	return script.String(), nil
}

// isName reports whether s is a name as defined by POSIX, "3.230 Name".
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// isProgram reports whether a shell would look up name as a program if it is the first word of a command: it is neither
// a builtin of dash or bash, either of which can be sh on Debian, nor one of hlplay's functions.
func isProgram(name string) bool {
	return name != "" && !builtins[name] && !strings.HasPrefix(name, "_hl_")
}

// builtins are the builtins and reserved words of dash (0.5.12) and bash (5.2) in POSIX mode.
var builtins = map[string]bool{
	".": true, ":": true, "[": true, "alias": true, "bg": true, "bind": true, "break": true, "builtin": true,
	"caller": true, "cd": true, "chdir": true, "command": true, "compgen": true, "complete": true, "compopt": true,
	"continue": true, "declare": true, "dirs": true, "disown": true, "echo": true, "enable": true, "eval": true,
	"exec": true, "exit": true, "export": true, "false": true, "fc": true, "fg": true, "getopts": true, "hash": true,
	"help": true, "history": true, "jobs": true, "kill": true, "let": true, "local": true, "logout": true, "mapfile": true,
	"popd": true, "printf": true, "pushd": true, "pwd": true, "read": true, "readarray": true, "readonly": true,
	"return": true, "set": true, "shift": true, "shopt": true, "source": true, "suspend": true, "test": true,
	"times": true, "trap": true, "true": true, "type": true, "typeset": true, "ulimit": true, "umask": true,
	"unalias": true, "unset": true, "wait": true,
}
