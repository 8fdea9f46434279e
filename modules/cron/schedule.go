package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// words lists the named schedules.
var words = []string{"@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}

// field is a field of a schedule: the range of its values, and the names of the values starting at first.
type field struct {
	name        string
	first, last int
	names       []string
}

// fields lists the fields of a schedule in order.
var fields = []field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// schedule returns what is wrong with a schedule of crontab(5), or "".
func schedule(text string) string {
	if strings.HasPrefix(text, "@") {
		if !slices.Contains(words, text) {
			return fmt.Sprintf("%q is not one of %s", text, strings.Join(words, ", "))
		}
		return ""
	}
	parts := strings.Fields(text)
	if len(parts) != len(fields) || strings.ContainsAny(text, "\n\r") {
		return fmt.Sprintf("%q has %d fields", text, len(parts))
	}
	for i, part := range parts {
		f := fields[i]
		for element := range strings.SplitSeq(part, ",") {
			span, step, stepped := strings.Cut(element, "/")
			if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1 || n > f.last) {
				return fmt.Sprintf("the %s %q has no such step", f.name, element)
			}
			if span == "*" {
				continue
			}
			from, to, ranged := strings.Cut(span, "-")
			first, ok := f.value(from)
			last, also := first, true
			if ranged {
				last, also = f.value(to)
			}
			switch {
			case !ok || !also:
				return fmt.Sprintf("the %s %q is not from %d to %d", f.name, element, f.first, f.last)
			case first > last:
				return fmt.Sprintf("the %s %q goes backwards", f.name, element)
			case stepped && !ranged:
				return fmt.Sprintf("the %s %q has a step without a range", f.name, element)
			}
		}
	}
	return never(parts[2], parts[3], parts[4])
}

// longestMonths are the lengths of the months, February's in a leap year.
var longestMonths = [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// never returns what is wrong with a day that no month has, such as 30 February. With a day of the week as well, either
// suffices.
func never(day, month, weekday string) string {
	if strings.HasPrefix(day, "*") || strings.HasPrefix(month, "*") || weekday != "*" {
		return ""
	}
	least, most := 31, 0
	for element := range strings.SplitSeq(day, ",") {
		first, _, _ := strings.Cut(element, "-")
		n, _ := fields[2].value(first)
		least = min(least, n)
	}
	for element := range strings.SplitSeq(month, ",") {
		span, _, _ := strings.Cut(element, "/")
		from, to, ranged := strings.Cut(span, "-")
		first, _ := fields[3].value(from)
		last := first
		if ranged {
			last, _ = fields[3].value(to)
		}
		most = max(most, slices.Max(longestMonths[first-1:last]))
	}
	if least > most {
		return fmt.Sprintf("day of the month %q never occurs in month %q", day, month)
	}
	return ""
}

// value parses a number or a name.
func (f field) value(text string) (n int, ok bool) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.first + i, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= f.first && n <= f.last && text[0] != '+'
}
