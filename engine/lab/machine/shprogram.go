package machine

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/afero"
	"mvdan.cc/sh/v3/syntax"
)

// shProgram is sh, dash and bash.
func shProgram(ctx context.Context, c *Call) int {
	s := &shell{c: c, name: path.Base(c.Argv[0])}
	if s.name == "dash" {
		s.name = "sh"
	}
	args := c.Argv[1:]
	var set []string
	command, login := false, false
	for len(args) > 0 && (strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[0], "+")) && args[0] != "-" {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			break
		}
		switch flag {
		case "--login", "--noprofile", "--norc":
			continue
		}
		for _, letter := range flag[1:] {
			switch letter {
			case 'c':
				command = true
			case 'l', 's', 'i':
				login = true
			case 'e', 'u', 'x', 'f', 'n':
				set = append(set, flag[:1]+string(letter))
			case 'o':
				if len(args) > 0 {
					set = append(set, flag[:1]+"o", args[0])
					args = args[1:]
				}
			default:
				return notSimulated(c, "-"+string(letter))
			}
		}
	}
	prefix := ""
	if len(set) > 0 {
		prefix = "set " + strings.Join(set, " ") + "; "
	}
	switch {
	case command && len(args) == 0:
		fmt.Fprintf(c.Stderr, "%s: 0: -c requires an argument\n", s.name)
		return 2
	case command:
		zero := s.name
		if len(args) > 1 {
			zero = args[1]
		}
		return s.runText(ctx, prefix+args[0], zero, args[min(2, len(args)):])
	case len(args) > 0 && !login:
		content, err := afero.ReadFile(s.view(), c.Path(args[0]))
		if err != nil {
			fmt.Fprintf(c.Stderr, "%s: 0: cannot open %s: %s\n", s.name, args[0], strings.TrimSuffix(errText(err), " or directory"))
			return 2
		}
		return s.runText(ctx, prefix+string(content), args[0], args[1:])
	}
	return s.runInput(ctx, args, "")
}

// runInput runs commands as they come on the standard input; prompt is printed before each. bash leaves what is behind
// a command to what the command starts; dash (0.5.12, input.c) reads ahead.
func (s *shell) runInput(ctx context.Context, params []string, prompt string) int {
	r, err := s.runner(params)
	if err != nil {
		return s.c.Errorf("%v", err)
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	fmt.Fprint(s.c.Stdout, prompt)
	code := 0
	input := s.c.Stdin
	if !s.dash() {
		input = oneByte{input}
	}
	for stmts, err := range parser.InteractiveSeq(input) {
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return s.syntaxError(s.name, err)
		}
		if parser.Incomplete() {
			if prompt != "" {
				fmt.Fprint(s.c.Stdout, "> ")
			}
			continue
		}
		for _, stmt := range stmts {
			rewrite(stmt, s.dash())
			code = s.result(ctx, r.Run(ctx, stmt))
			if r.Exited() || ctx.Err() != nil {
				return code
			}
		}
		fmt.Fprint(s.c.Stdout, prompt)
	}
	return code
}

// oneByte keeps the parser from reading what is behind the command that it parses.
type oneByte struct{ io.Reader }

func (s standard) Read(p []byte) (int, error) { return s.hc.Stdin.Read(p) }

// script runs a file that is no simulated program but has a shell's first line.
func (m *Machine) script(ctx context.Context, c *Call, file string) int {
	content, err := afero.ReadFile(c.view(), file)
	if err != nil {
		return notFound(c, err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	interpreter := path.Base(strings.TrimSpace(strings.TrimPrefix(first, "#!")))
	if fields := strings.Fields(strings.TrimPrefix(first, "#!")); len(fields) > 1 && path.Base(fields[0]) == "env" {
		interpreter = fields[1]
	} else if len(fields) > 0 {
		interpreter = path.Base(fields[0])
	}
	switch {
	case !strings.HasPrefix(first, "#!"), interpreter == "sh", interpreter == "dash":
		s := &shell{c: c, name: "sh"}
		return s.runText(ctx, string(content), c.Argv[0], c.Argv[1:])
	case interpreter == "bash":
		s := &shell{c: c, name: "bash"}
		return s.runText(ctx, string(content), c.Argv[0], c.Argv[1:])
	}
	fmt.Fprintf(c.Stderr, "%s: simulated machine: scripts for %s are not simulated\n", c.Argv[0], interpreter)
	return 126
}
