package machine

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/afero"
)

// shProgram implements sh, dash and bash.
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
