package machine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// sedCommand is a command in the simulated subset of sed: s, d, p, q, a, i and c with addresses. Anything else is
// rejected.
type sedCommand struct {
	from, to *sedAddress
	negate   bool
	verb     byte
	re       *regexp.Regexp
	text     string
	global   bool
	print    bool
	inRange  bool
	exit     int // exit code of q
}

type sedAddress struct {
	line int // zero if unset, -1 for the last line
	re   *regexp.Regexp
}

func (a *sedAddress) matches(n int, last bool, line string) bool {
	switch {
	case a.re != nil:
		return a.re.MatchString(line)
	case a.line == -1:
		return last
	}
	return a.line == n
}

type sedParser struct {
	text     string
	extended bool
}

func parseSed(script string, extended bool) ([]*sedCommand, error) {
	p := &sedParser{script, extended}
	var all []*sedCommand
	for {
		p.text = strings.TrimLeft(p.text, " \t\n;")
		if p.text == "" {
			return all, nil
		}
		command, err := p.command()
		if err != nil {
			return nil, err
		}
		all = append(all, command)
	}
}

func (p *sedParser) address() (*sedAddress, error) {
	switch {
	case p.text == "":
		return nil, nil
	case p.text[0] == '$':
		p.text = p.text[1:]
		return &sedAddress{line: -1}, nil
	case digit(p.text[0]):
		i := 0
		for i < len(p.text) && digit(p.text[i]) {
			i++
		}
		n, err := strconv.Atoi(p.text[:i])
		p.text = p.text[i:]
		return &sedAddress{line: n}, err
	case p.text[0] == '/', p.text[0] == '\\' && len(p.text) > 1:
		if p.text[0] == '\\' {
			p.text = p.text[1:]
		}
		delimiter := p.text[0]
		p.text = p.text[1:]
		pattern, err := p.until(delimiter)
		if err != nil {
			return nil, err
		}
		re, err := compile(pattern, p.extended, false, p.flag('I'), false, false)
		return &sedAddress{re: re}, err
	}
	return nil, nil
}

func (p *sedParser) flag(ch byte) bool {
	if p.text != "" && p.text[0] == ch {
		p.text = p.text[1:]
		return true
	}
	return false
}

// until returns the text up to an unescaped delimiter.
func (p *sedParser) until(delimiter byte) (string, error) {
	var b strings.Builder
	for i := 0; i < len(p.text); i++ {
		switch {
		case p.text[i] == delimiter:
			p.text = p.text[i+1:]
			return b.String(), nil
		case p.text[i] == '\\' && i+1 < len(p.text) && p.text[i+1] == delimiter:
			i++
			b.WriteByte(delimiter)
		case p.text[i] == '\\' && i+1 < len(p.text):
			b.WriteString(p.text[i : i+2])
			i++
		default:
			b.WriteByte(p.text[i])
		}
	}
	return "", fmt.Errorf("unterminated `%c' in the command", delimiter)
}

func (p *sedParser) command() (*sedCommand, error) {
	c := &sedCommand{}
	var err error
	if c.from, err = p.address(); err != nil {
		return nil, err
	}
	if c.from != nil && p.flag(',') {
		if c.to, err = p.address(); err != nil {
			return nil, err
		}
	}
	p.text = strings.TrimLeft(p.text, " ")
	c.negate = p.flag('!')
	if p.text == "" {
		return nil, fmt.Errorf("missing command")
	}
	c.verb, p.text = p.text[0], p.text[1:]
	switch c.verb {
	case 'q':
		for p.text != "" && digit(p.text[0]) {
			c.exit = c.exit*10 + int(p.text[0]-'0')
			p.text = p.text[1:]
		}
		return c, nil
	case 'd', 'p':
		return c, nil
	case 'a', 'i', 'c':
		line, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimLeft(p.text, " "), "\\"), "\n")
		c.text, p.text = strings.TrimLeft(line, " "), rest
		return c, nil
	case 's':
		return c, p.substitute(c)
	}
	return nil, fmt.Errorf("command `%c'", c.verb)
}

func (p *sedParser) substitute(c *sedCommand) error {
	if p.text == "" {
		return fmt.Errorf("unterminated `s' command")
	}
	delimiter := p.text[0]
	p.text = p.text[1:]
	pattern, err := p.until(delimiter)
	if err != nil {
		return err
	}
	replacement, err := p.until(delimiter)
	if err != nil {
		return err
	}
	ignoreCase := false
	for p.text != "" && strings.IndexByte("; \n}", p.text[0]) < 0 {
		switch p.text[0] {
		case 'g':
			c.global = true
		case 'p':
			c.print = true
		case 'i', 'I':
			ignoreCase = true
		default:
			return fmt.Errorf("flag `%c' of s", p.text[0])
		}
		p.text = p.text[1:]
	}
	if c.re, err = compile(pattern, p.extended, false, ignoreCase, false, false); err != nil {
		return err
	}
	c.text = goReplacement(replacement)
	return nil
}

// goReplacement translates a sed replacement (&, \1, \n, \t, \r) for package regexp.
func goReplacement(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$':
			b.WriteString("$$")
		case s[i] == '&':
			b.WriteString("${0}")
		case s[i] == '\\' && i+1 < len(s):
			i++
			switch {
			case digit(s[i]):
				b.WriteString("${" + s[i:i+1] + "}")
			case s[i] == 'n':
				b.WriteByte('\n')
			case s[i] == 't':
				b.WriteByte('\t')
			case s[i] == 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func (c *sedCommand) selects(n int, last bool, line string) bool {
	selected := true
	switch {
	case c.to != nil && c.inRange:
		c.inRange = !c.to.matches(n, last, line) && (c.to.re != nil || c.to.line == -1 || n < c.to.line)
	case c.to != nil:
		selected = c.from.matches(n, last, line)
		c.inRange = selected && (c.to.re != nil || c.to.line == -1 && !last || c.to.line > n)
	case c.from != nil:
		selected = c.from.matches(n, last, line)
	}
	return selected != c.negate
}

// runSed edits a text and returns the result and the exit code. If quiet is set, only commands print.
func runSed(commands []*sedCommand, text string, quiet bool) (string, int) {
	var out strings.Builder
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, line := range lines {
		body, end := strings.TrimSuffix(line, "\n"), "\n"
		if body == line {
			end = ""
		}
		after := ""
		deleted, stop, exit := false, false, 0
		for _, c := range commands {
			if !c.selects(i+1, i == len(lines)-1, body) {
				continue
			}
			switch c.verb {
			case 'd':
				deleted = true
			case 'p':
				out.WriteString(body + "\n")
			case 'q':
				stop, exit = true, c.exit
			case 'a':
				after += c.text + "\n"
			case 'i':
				out.WriteString(c.text + "\n")
			case 'c':
				out.WriteString(c.text + "\n")
				deleted = true
			case 's':
				done := false
				replaced := c.re.ReplaceAllStringFunc(body, func(match string) string {
					if done && !c.global {
						return match
					}
					done = true
					return string(c.re.ExpandString(nil, c.text, match, c.re.FindStringSubmatchIndex(match)))
				})
				body = replaced
				if done && c.print {
					out.WriteString(body + "\n")
				}
			}
			if deleted || stop {
				break
			}
		}
		if !deleted && !quiet {
			if after != "" {
				end = "\n"
			}
			out.WriteString(body + end)
		}
		out.WriteString(after)
		if stop {
			return out.String(), exit
		}
	}
	return out.String(), 0
}

func sed(_ context.Context, c *Call) int {
	o, ok := c.options("nEri::e:s", "quiet", "silent", "regexp-extended", "in-place?", "expression=")
	if !ok {
		return 2
	}
	scripts := o.values("e", "expression")
	if len(scripts) == 0 {
		if len(o.rest) == 0 {
			return c.Errorf("no script specified")
		}
		scripts, o.rest = o.rest[:1], o.rest[1:]
	}
	parse := func() ([]*sedCommand, error) {
		return parseSed(strings.Join(scripts, "\n"), o.has("E", "r", "regexp-extended"))
	}
	commands, err := parse()
	if err != nil {
		c.Errorf("-e expression #1: %v", err)
		return 2
	}
	quiet := o.has("n", "quiet", "silent")
	if !o.has("i", "in-place") {
		text, code := c.operandText(o.rest)
		edited, exit := runSed(commands, text, quiet)
		if _, err := io.WriteString(c.Stdout, edited); err != nil {
			return c.ended(err)
		}
		return cmp.Or(exit, code*2)
	}
	v := c.view()
	for _, name := range o.rest {
		info, err := v.Stat(c.Path(name))
		var content []byte
		if err == nil {
			content, err = afero.ReadFile(v, c.Path(name))
		}
		if err != nil {
			c.Errorf("can't read %s: %s", name, errText(err))
			return 2
		}
		if commands, err = parse(); err != nil {
			return c.Errorf("%v", err)
		}
		if suffix := o.value("i", "in-place"); suffix != "" {
			if err := afero.WriteFile(v, c.Path(name)+suffix, content, info.Mode().Perm()); err != nil {
				c.Errorf("cannot rename %s: %s", name, errText(err))
				return 4
			}
		}
		edited, _ := runSed(commands, string(content), quiet)
		if err := replaceFile(v, c.Path(name), edited, info); err != nil {
			c.Errorf("couldn't open temporary file %s: %s", name, errText(err))
			return 4
		}
	}
	return 0
}

// replaceFile replaces a file with a new one that has the same owner and mode. Concurrent readers see either the old or
// the new one.
func replaceFile(v view, file, content string, like fs.FileInfo) error {
	fresh := path.Join(path.Dir(file), "sed"+newUUID()[:6])
	if err := afero.WriteFile(v, fresh, []byte(content), 0o600); err != nil {
		return err
	}
	of := details(like)
	_ = v.Chown(fresh, of.uid, of.gid) // as with sed, the new file keeps its owner
	err := v.Chmod(fresh, like.Mode()&permBits)
	if err == nil {
		err = v.Rename(fresh, file)
	}
	if err != nil {
		_ = v.Remove(fresh) // the first error is more informative
	}
	return err
}
