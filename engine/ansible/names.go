package ansible

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

// mostHosts bounds the number of names that a range expands to.
const mostHosts = 100_000

var (
	hostPort = pattern.New(`^(.*[^:]):([0-9]+)$`)
	// span matches a range in a name: [01:50], [a:f], [1:10:2].
	span = regexp.MustCompile(`\[([0-9]*|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]`)
)

// hostNames expands the ranges in a name and splits off the port that may follow.
func hostNames(pattern string) (names []string, port string, err error) {
	if m := hostPort.FindStringSubmatch(pattern); m != nil && strings.Count(m[1], "[") == strings.Count(m[1], "]") && !strings.Contains(span.ReplaceAllString(m[1], ""), ":") {
		pattern, port = m[1], m[2]
	}
	names, err = expand(pattern)
	return names, port, err
}

func expand(pattern string) ([]string, error) {
	at := span.FindStringSubmatchIndex(pattern)
	if at == nil {
		if strings.ContainsAny(pattern, "[]") {
			return nil, fmt.Errorf("%q has an invalid range; write it as in web[01:50] or db[a:f]", pattern)
		}
		return []string{pattern}, nil
	}
	part := func(i int) string {
		if at[2*i] < 0 {
			return ""
		}
		return pattern[at[2*i]:at[2*i+1]]
	}
	between, err := sequence(part(1), part(2), part(3))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	rest, err := expand(pattern[at[1]:])
	if err != nil {
		return nil, err
	}
	if len(between)*len(rest) > mostHosts {
		return nil, fmt.Errorf("%q stands for more than %d hosts", pattern, mostHosts)
	}
	var all []string
	for _, x := range between {
		for _, y := range rest {
			all = append(all, pattern[:at[0]]+x+y)
		}
	}
	return all, nil
}

// sequence returns the elements from first to last, both included.
func sequence(first, last, step string) ([]string, error) {
	by := 1
	if step != "" {
		by, _ = strconv.Atoi(step)
	}
	if first == "" {
		first = "0"
	}
	from, errFrom := strconv.Atoi(first)
	to, errTo := strconv.Atoi(last)
	letters := errFrom != nil && errTo != nil
	if (errFrom != nil) != (errTo != nil) || by < 1 {
		return nil, fmt.Errorf("the range [%s:%s] must go from a number to a number or from a letter to a letter", first, last)
	}
	width := 0
	if letters {
		from, to = int(first[0]), int(last[0])
	} else if len(first) > 1 && first[0] == '0' {
		if width = len(first); len(last) != width {
			return nil, fmt.Errorf("the range [%s:%s] must have as many digits at its end as at its beginning", first, last)
		}
	}
	if from > to {
		return nil, fmt.Errorf("the range [%s:%s] goes backwards", first, last)
	}
	if (to-from)/by >= mostHosts {
		return nil, fmt.Errorf("the range [%s:%s] is longer than %d", first, last, mostHosts)
	}
	var all []string
	for i := from; i <= to; i += by {
		if letters {
			all = append(all, string(rune(i)))
		} else {
			all = append(all, fmt.Sprintf("%0*d", width, i))
		}
	}
	return all, nil
}
