package machine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func cut(_ context.Context, c *Call) int {
	o, ok := c.options("d:f:c:b:s", "delimiter=", "fields=", "characters=", "only-delimited")
	if !ok {
		return 2
	}
	list := cmp.Or(o.value("f", "fields"), o.value("c", "characters"), o.value("b"))
	delimiter := cmp.Or(o.value("d", "delimiter"), "\t")
	wanted := func(n, last int) bool {
		for part := range strings.SplitSeq(list, ",") {
			from, to, span := strings.Cut(part, "-")
			low, _ := strconv.Atoi(cmp.Or(from, "1"))
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
			_ = f.Close() // opened for reading only
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
	slices.SortStableFunc(lines, func(a, b string) int {
		v := compare(a, b)
		if v == 0 && !o.has("u", "unique") {
			v = strings.Compare(a, b)
		}
		if o.has("r", "reverse") {
			return -v
		}
		return v
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
