package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// basicRegexp turns a POSIX basic regular expression into an extended one: in the former, + ? | { } ( ) are special
// only after a backslash.
func basicRegexp(re string) string {
	var b strings.Builder
	for i := 0; i < len(re); i++ {
		switch ch := re[i]; {
		case ch == '\\' && i+1 < len(re):
			i++
			if strings.IndexByte("+?|{}()", re[i]) >= 0 {
				b.WriteByte(re[i])
			} else {
				b.WriteString(re[i-1 : i+1])
			}
		case strings.IndexByte("+?|{}()", ch) >= 0:
			b.WriteString("\\" + string(ch))
		case ch == '[':
			end := strings.IndexByte(re[min(i+2, len(re)):], ']')
			if end < 0 {
				b.WriteByte(ch)
				break
			}
			b.WriteString(re[i : i+2+end+1])
			i += 2 + end
		case ch == '*' && (i == 0 || re[i-1] == '^'):
			b.WriteString("\\*")
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}

// wordEdges replaces GNU's \< and \>.
var wordEdges = strings.NewReplacer(`\<`, `\b`, `\>`, `\b`)

func compile(pattern string, extended, fixed, ignoreCase, line, word bool) (*regexp.Regexp, error) {
	switch {
	case fixed:
		pattern = regexp.QuoteMeta(pattern)
	case !extended:
		pattern = basicRegexp(pattern)
	}
	if !fixed {
		pattern = wordEdges.Replace(pattern)
	}
	if word {
		pattern = `\b(?:` + pattern + `)\b`
	}
	if line {
		pattern = `^(?:` + pattern + `)$`
	}
	if ignoreCase {
		pattern = `(?i)` + pattern
	}
	re, err := regexp.Compile(pattern)
	if err == nil {
		re.Longest()
	}
	return re, err
}

func grep(_ context.Context, c *Call) int {
	o, ok := c.options("sHhqEFGvncloLrRxiwe:m:za", "no-messages", "with-filename", "no-filename", "quiet", "silent", "extended-regexp", "fixed-strings",
		"invert-match", "line-number", "count", "files-with-matches", "only-matching", "recursive", "line-regexp", "ignore-case", "word-regexp", "regexp=", "max-count=", "color?")
	if !ok {
		return 2
	}
	if o.has("z") {
		return notSimulated(c, "-z")
	}
	patterns := o.values("e", "regexp")
	if len(patterns) == 0 {
		if len(o.rest) == 0 {
			fmt.Fprintln(c.Stderr, "Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.")
			return 2
		}
		patterns, o.rest = o.rest[:1], o.rest[1:]
	}
	name := path.Base(c.Argv[0])
	var res []*regexp.Regexp
	for _, p := range patterns {
		for _, part := range strings.Split(p, "\n") {
			re, err := compile(part, o.has("E", "extended-regexp") || name == "egrep", o.has("F", "fixed-strings") || name == "fgrep",
				o.has("i", "ignore-case"), o.has("x", "line-regexp"), o.has("w", "word-regexp"))
			if err != nil {
				c.Errorf("not supported on simulated nodes: expression %q: %v", part, err)
				return 2
			}
			res = append(res, re)
		}
	}
	quiet, silent := o.has("q", "quiet", "silent"), o.has("s", "no-messages")
	code, failed := 1, false
	var files []string
	if len(o.rest) == 0 {
		files = []string{"-"}
		if o.has("r", "R", "recursive") {
			o.rest = []string{"."}
			files = nil
		}
	}
	complain := func(file, text string) {
		failed = true
		if !silent {
			c.Errorf("%s: %s", file, text)
		}
	}
	for _, operand := range o.rest {
		if !o.has("r", "R", "recursive") {
			files = append(files, operand)
			continue
		}
		err := c.walk(c.Path(operand), func(file string, info fs.FileInfo) error {
			if info.Mode().IsRegular() {
				files = append(files, operand+strings.TrimPrefix(file, c.Path(operand)))
			}
			return nil
		})
		if err != nil {
			complain(operand, errText(err))
		}
	}
	names := (len(files) > 1 || o.has("H", "with-filename") || o.has("r", "R", "recursive")) && !o.has("h", "no-filename")
	limit := -1
	if text := o.value("m", "max-count"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			c.Errorf("invalid max count")
			return 2
		}
		limit = n
	}
	for _, file := range files {
		f, err := c.input(file)
		if err != nil {
			text := errText(err)
			complain(file, text)
			continue
		}
		content, err := io.ReadAll(f)
		_ = f.Close() // opened for reading only
		if err != nil {
			complain(file, errText(err))
			continue
		}
		shown := file
		if file == "-" {
			shown = "(standard input)"
		}
		binary := bytes.IndexByte(content, 0) >= 0 && !o.has("a")
		count, number := 0, 0
		for line := range strings.Lines(string(content)) {
			number++
			line = strings.TrimSuffix(line, "\n")
			matched := false
			for _, re := range res {
				matched = matched || re.MatchString(line)
			}
			if matched == o.has("v", "invert-match") {
				continue
			}
			if limit >= 0 && count >= limit {
				break
			}
			count++
			code = 0
			if quiet {
				return 0
			}
			if o.has("c", "count", "l", "files-with-matches", "L") {
				continue
			}
			if binary {
				c.printf("grep: %s: binary file matches\n", shown)
				break
			}
			prefix := ""
			if names {
				prefix = shown + ":"
			}
			if o.has("n", "line-number") {
				prefix += strconv.Itoa(number) + ":"
			}
			if !o.has("o", "only-matching") {
				c.printf("%s%s\n", prefix, line)
				continue
			}
			for _, re := range res {
				for _, found := range re.FindAllString(line, -1) {
					if found != "" {
						c.printf("%s%s\n", prefix, found)
					}
				}
			}
		}
		switch {
		case o.has("c", "count") && names:
			c.printf("%s:%d\n", shown, count)
		case o.has("c", "count"):
			c.printf("%d\n", count)
		case o.has("l", "files-with-matches") && count > 0, o.has("L") && count == 0:
			c.printf("%s\n", shown)
		}
	}
	if failed && !(quiet && code == 0) {
		return 2
	}
	return code
}
