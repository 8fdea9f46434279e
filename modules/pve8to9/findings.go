package pve8to9

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

// reset is the escape sequence that ends a colour.
const reset = "\x1b[0m"

// counted maps the levels that the summary counts to their names there. Notices are only part of the total.
var counted = map[string]string{"PASS": "PASSED", "SKIP": "SKIPPED", "WARN": "WARNINGS", "FAIL": "FAILURES"}

var (
	// colour matches the sequences of Term::ANSIColor, which are printed even if the output is not a terminal.
	colour  = pattern.New("\x1b\\[[0-9;]*m")
	heading = pattern.New(`^= (.+) =$`)
	finding = pattern.New(`^(PASS|SKIP|INFO|NOTICE|WARN|FAIL):(?: (.*))?$`)
	sum     = pattern.New(`^([A-Z]+): +(\d+)$`)
)

// parse returns the findings of pve8to9 by level, each on one line. The output has sections with headings, and a summary
// that counts the findings. A finding begins with its level and may continue on further lines: to the end of its colour
// or, without one, to the next empty line (PVE::CLI::pve8to9).
func parse(text string) (map[string][]string, error) {
	found, counts := map[string][]string{}, map[string]int{}
	section, level := "", ""
	coloured := false
	for raw := range strings.Lines(text) {
		if strings.HasPrefix(raw, reset) && coloured {
			coloured, level = false, "" // the finding ends, with all its paragraphs
		}
		for _, code := range colour.FindAllString(raw, -1) {
			coloured = code != reset
		}
		line := strings.TrimSpace(colour.ReplaceAllString(raw, ""))
		if title := heading.FindStringSubmatch(line); title != nil {
			section, level = title[1], ""
			continue
		}
		if section == "SUMMARY" {
			if s := sum.FindStringSubmatch(line); s != nil {
				n, err := strconv.Atoi(s[2])
				if err != nil {
					return nil, unknownForm("%s", line)
				}
				counts[s[1]] = n
			}
			continue
		}
		f := finding.FindStringSubmatch(line)
		switch {
		case section == "" && line != "":
			return nil, unknownForm("it begins with %q", line)
		case f != nil:
			level = f[1]
			found[level] = append(found[level], strings.TrimSpace(f[2]))
		case line == "" && coloured:
		case line == "":
			level = "" // the following lines belong to the next finding
		case level != "":
			last := &found[level][len(found[level])-1]
			*last = strings.TrimSpace(*last + " " + line)
		}
	}
	if section != "SUMMARY" {
		return nil, errors.New("pve8to9 ended before its summary: run it on the host, and read the end of its output")
	}
	total := len(found["NOTICE"])
	for level, name := range counted {
		total += len(found[level])
		if n, told := counts[name]; !told || n != len(found[level]) {
			return nil, unknownForm("its summary says %s: %d, but it prints %d of %s", name, n, len(found[level]), level)
		}
	}
	if n, told := counts["TOTAL"]; !told || n != total {
		return nil, unknownForm("its summary says TOTAL: %d, but it prints %d", n, total)
	}
	return found, nil
}

func unknownForm(format string, args ...any) error {
	return fmt.Errorf("pve8to9 printed output in a format that hlplay does not know (%s), so its result is not usable: run it on the host and read it", fmt.Sprintf(format, args...))
}
