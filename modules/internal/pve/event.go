package pve

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// namedEvents lists the calendar events that have a name (Proxmox VE 9, admin guide, "Calendar Events").
var namedEvents = []string{"minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "semi-annually", "yearly", "annually"}

const (
	weekday = `(?:mon|monday|tue|tuesday|wed|wednesday|thu|thursday|fri|friday|sat|saturday|sun|sunday)`
	numbers = `(?:\*|[0-9]+(?:\.\.[0-9]+)?)(?:/[0-9]+)?(?:,(?:\*|[0-9]+(?:\.\.[0-9]+)?)(?:/[0-9]+)?)*`
)

// Each is compiled on first use: together they would take a tenth of the program's memory at startup.
var (
	weekdays = compiled(`^(?i:` + weekday + `(?:\.\.` + weekday + `)?(?:,` + weekday + `(?:\.\.` + weekday + `)?)*)$`)
	monthday = compiled(`^(?:` + numbers + `-)?` + numbers + `-` + numbers + `$`)
	clock    = compiled(`^` + numbers + `(?::` + numbers + `){0,2}$`)
	numeral  = compiled(`[0-9]+`)
)

func compiled(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// IsEvent reports whether a text has the form of a calendar event: [WEEKDAYS] [[YEARS-]MONTHS-DAYS] [HOURS:]MINUTES[:SECONDS].
func IsEvent(text string) bool {
	if slices.Contains(namedEvents, strings.ToLower(text)) {
		return true
	}
	parts := strings.Split(text, " ")
	given := len(parts)
	if weekdays().MatchString(parts[0]) {
		parts = parts[1:]
	}
	if len(parts) > 0 && monthday().MatchString(parts[0]) {
		parts = parts[1:]
	}
	if len(parts) == 1 && isClock(parts[0]) {
		parts = nil
	}
	return given > 0 && len(parts) == 0
}

// isClock reports whether a text is a time of day, or a pattern of several. A single number is a minute. All numbers,
// including the steps of repetitions, must be below 24 for hours and 60 for minutes and seconds, and a range must begin
// with the lower number.
func isClock(text string) bool {
	if !clock().MatchString(text) {
		return false
	}
	fields := strings.Split(text, ":")
	for i, field := range fields {
		most := 59
		if i == 0 && len(fields) > 1 {
			most = 23
		}
		for element := range strings.SplitSeq(field, ",") {
			span, step, repeats := strings.Cut(element, "/")
			least := 0
			for _, digits := range numeral().FindAllString(span, -1) {
				n, err := strconv.Atoi(digits)
				if err != nil || n < least || n > most {
					return false
				}
				least = n
			}
			if n, err := strconv.Atoi(step); repeats && (err != nil || n < 1 || n > most) {
				return false
			}
		}
	}
	return true
}
