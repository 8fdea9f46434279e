package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

func textPrograms() map[string]Program {
	return map[string]Program{
		"grep": grep, "egrep": grep, "fgrep": grep, "cut": cut, "tr": tr, "wc": wc, "sort": sortProgram, "uniq": uniq,
		"sed": sed, "seq": seq,
	}
}

// basicRegexp turns a POSIX basic expression into an extended one: there, and only there, the
// backslash gives + ? | { } ( ) their meaning.
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

// wordEdges are GNU's \< and \>.
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
				c.Errorf("simulated expression %q: %v", part, err)
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
		_ = f.Close() // only read
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

// operandText is all operands' content, or the standard input's.
func (c *Call) operandText(names []string) (string, int) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var b strings.Builder
	code := 0
	for _, name := range names {
		f, err := c.input(name)
		if err == nil {
			_, err = io.Copy(&b, f)
			_ = f.Close() // only read
		}
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
		}
	}
	return b.String(), code
}

func cut(_ context.Context, c *Call) int {
	o, ok := c.options("d:f:c:b:s", "delimiter=", "fields=", "characters=", "only-delimited")
	if !ok {
		return 2
	}
	list := cmpOr(o.value("f", "fields"), o.value("c", "characters"), o.value("b"))
	delimiter := cmpOr(o.value("d", "delimiter"), "\t")
	wanted := func(n, last int) bool {
		for part := range strings.SplitSeq(list, ",") {
			from, to, span := strings.Cut(part, "-")
			low, _ := strconv.Atoi(cmpOr(from, "1"))
			high := low
			if span {
				high = last
				if to != "" {
					high, _ = strconv.Atoi(to)
				}
			}
			if n >= low && n <= high {
				return true
			}
		}
		return false
	}
	text, code := c.operandText(o.rest)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !o.has("f", "fields") {
			var out []byte
			for i := range len(line) {
				if wanted(i+1, len(line)) {
					out = append(out, line[i])
				}
			}
			c.printf("%s\n", out)
			continue
		}
		fields := strings.Split(line, delimiter)
		if len(fields) == 1 {
			if !o.has("s", "only-delimited") {
				c.printf("%s\n", line)
			}
			continue
		}
		var out []string
		for i, f := range fields {
			if wanted(i+1, len(fields)) {
				out = append(out, f)
			}
		}
		c.printf("%s\n", strings.Join(out, delimiter))
	}
	return code
}

var trClasses = strings.NewReplacer("[:upper:]", "A-Z", "[:lower:]", "a-z", "[:digit:]", "0-9", "[:space:]", " \t\n\v\f\r", "[:alnum:]", "A-Za-z0-9", "[:alpha:]", "A-Za-z")

func trSet(text string) []byte {
	plain, _ := unescape(trClasses.Replace(text))
	var set []byte
	for i := 0; i < len(plain); i++ {
		if i+2 < len(plain) && plain[i+1] == '-' {
			for ch := int(plain[i]); ch <= int(plain[i+2]); ch++ {
				set = append(set, byte(ch))
			}
			i += 2
			continue
		}
		set = append(set, plain[i])
	}
	return set
}

func tr(_ context.Context, c *Call) int {
	o, ok := c.options("dsc", "delete", "squeeze-repeats", "complement")
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		return c.Errorf("missing operand\nTry 'tr --help' for more information.")
	}
	content, err := io.ReadAll(c.Stdin)
	if err != nil {
		return c.Errorf("read error: %s", errText(err))
	}
	from := trSet(o.rest[0])
	var to []byte
	if len(o.rest) > 1 {
		to = trSet(o.rest[1])
	}
	complement := o.has("c", "complement")
	var out []byte
	for _, ch := range content {
		at := bytes.IndexByte(from, ch)
		in := at >= 0 != complement
		switch {
		case in && o.has("d", "delete"):
			continue
		case in && len(to) > 0:
			if complement {
				at = len(to) - 1
			}
			ch = to[min(at, len(to)-1)]
		}
		squeezed := to
		if len(to) == 0 {
			squeezed = from
		}
		if o.has("s", "squeeze-repeats") && len(out) > 0 && out[len(out)-1] == ch && in && (bytes.IndexByte(squeezed, ch) >= 0 || complement) {
			continue
		}
		out = append(out, ch)
	}
	_, err = c.Stdout.Write(out)
	return c.ended(err)
}

func wc(_ context.Context, c *Call) int {
	o, ok := c.options("lwcm", "lines", "words", "bytes", "chars")
	if !ok {
		return 2
	}
	files := o.rest
	if len(files) == 0 {
		files = []string{"-"}
	}
	var counts [][3]int
	var names []string
	var total [3]int
	code := 0
	for _, name := range files {
		f, err := c.input(name)
		var content []byte
		if err == nil {
			content, err = io.ReadAll(f)
			_ = f.Close() // only read
		}
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		n := [3]int{bytes.Count(content, []byte("\n")), len(bytes.Fields(content)), len(content)}
		for i := range n {
			total[i] += n[i]
		}
		counts, names = append(counts, n), append(names, name)
	}
	if len(files) > 1 {
		counts, names = append(counts, total), append(names, "total")
	}
	chosen := []bool{o.has("l", "lines"), o.has("w", "words"), o.has("c", "bytes", "m", "chars")}
	columns := 0
	for _, b := range chosen {
		if b {
			columns++
		}
	}
	if columns == 0 {
		chosen, columns = []bool{true, true, true}, 3
	}
	width := 1
	if len(counts) > 0 && (columns > 1 || len(counts) > 1) {
		width = len(strconv.Itoa(total[2]))
		if len(o.rest) == 0 || names[0] == "-" {
			width = 7
		}
	}
	for i, n := range counts {
		var parts []string
		for j, b := range chosen {
			if b {
				parts = append(parts, fmt.Sprintf("%*d", width, n[j]))
			}
		}
		if len(o.rest) > 0 {
			parts = append(parts, names[i])
		}
		c.printf("%s\n", strings.Join(parts, " "))
	}
	return code
}

func sortProgram(_ context.Context, c *Call) int {
	o, ok := c.options("nruVk:t:", "numeric-sort", "reverse", "unique", "version-sort", "key=", "field-separator=")
	if !ok {
		return 2
	}
	text, code := c.operandText(o.rest)
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	key := func(line string) string { return line }
	if k := o.value("k", "key"); k != "" {
		from, _, _ := strings.Cut(k, ",")
		n, err := strconv.Atoi(strings.TrimRight(from, "nrV"))
		if err != nil || n < 1 {
			return c.Errorf("invalid number at field start: invalid count at start of ‘%s’", k)
		}
		key = func(line string) string {
			fields := strings.Fields(line)
			if sep := o.value("t", "field-separator"); sep != "" {
				fields = strings.Split(line, sep)
			}
			if n > len(fields) {
				return ""
			}
			return fields[n-1]
		}
	}
	number := regexp.MustCompile(`^\s*(-?\d+(?:\.\d+)?)`)
	compare := func(a, b string) int {
		ka, kb := key(a), key(b)
		switch {
		case o.has("n", "numeric-sort"):
			fa, _ := strconv.ParseFloat(strings.TrimSpace(number.FindString(ka)), 64)
			fb, _ := strconv.ParseFloat(strings.TrimSpace(number.FindString(kb)), 64)
			if fa != fb {
				return map[bool]int{true: -1, false: 1}[fa < fb]
			}
		case o.has("V", "version-sort"):
			if v := CompareVersions(ka, kb); v != 0 {
				return v
			}
		case ka != kb:
			return strings.Compare(ka, kb)
		}
		return 0
	}
	sort.SliceStable(lines, func(i, j int) bool {
		v := compare(lines[i], lines[j])
		if v == 0 && !o.has("u", "unique") {
			v = strings.Compare(lines[i], lines[j])
		}
		if o.has("r", "reverse") {
			return v > 0
		}
		return v < 0
	})
	for i, line := range lines {
		if i > 0 && o.has("u", "unique") && compare(lines[i-1], line) == 0 {
			continue
		}
		c.printf("%s\n", line)
	}
	return code
}

func uniq(_ context.Context, c *Call) int {
	o, ok := c.options("cdu", "count", "repeated", "unique")
	if !ok {
		return 2
	}
	text, code := c.operandText(o.rest)
	var last string
	count := 0
	flush := func() {
		switch {
		case count == 0, o.has("d", "repeated") && count < 2, o.has("u", "unique") && count > 1:
		case o.has("c", "count"):
			c.printf("%7d %s\n", count, last)
		default:
			c.printf("%s\n", last)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if count > 0 && line == last {
			count++
			continue
		}
		flush()
		last, count = line, 1
	}
	flush()
	return code
}

func seq(_ context.Context, c *Call) int {
	numbers := []int{1, 1, 1}
	var given []int
	for _, arg := range c.Argv[1:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return notSimulated(c, arg)
		}
		given = append(given, n)
	}
	switch len(given) {
	case 1:
		numbers[2] = given[0]
	case 2:
		numbers[0], numbers[2] = given[0], given[1]
	case 3:
		numbers = given
	default:
		return c.Errorf("missing operand\nTry 'seq --help' for more information.")
	}
	for i := numbers[0]; numbers[1] > 0 && i <= numbers[2] || numbers[1] < 0 && i >= numbers[2]; i += numbers[1] {
		c.printf("%d\n", i)
	}
	return 0
}
