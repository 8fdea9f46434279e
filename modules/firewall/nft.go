package firewall

import (
	"fmt"
	"path"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
	"hlplay/modules/internal/conffile"
)

// ruleset describes how a host filters packets.
type ruleset struct {
	// Table is the module's table as nft -p lists it; empty if it is not loaded.
	Table string
	// Unloadable says why /etc/nftables.conf would not load at boot; empty if it would, or does not exist.
	Unloadable string
}

// rulesets observes ruleset, under the empty name.
var rulesets = &observe.Kind[ruleset]{
	Name: "firewall", What: "the rules of nftables",
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			{Script: `_t=$(` + program + ` list tables inet) || exit
case "
$_t
" in *"
table inet hlplay
"*) exec ` + program + ` -p list table inet hlplay ;; esac`},
			{Script: `[ ! -e ` + conf + ` ] || exec ` + program + ` -c -f ` + conf},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, ruleset, error)) {
		r, err := parseRuleset(answers)
		for _, name := range names {
			tell(name, r, err)
		}
	},
}

func parseRuleset(answers []remote.Answer) (ruleset, error) {
	if a := answers[0]; a.Exit != 0 {
		return ruleset{}, fmt.Errorf("nft list: %s: %s", remote.Ending(a.Exit), firstLine(a.Stderr))
	}
	r := ruleset{Table: string(answers[0].Stdout)}
	if a := answers[1]; a.Exit != 0 {
		r.Unloadable = firstLine(a.Stderr)
		if r.Unloadable == "" {
			r.Unloadable = remote.Ending(a.Exit)
		}
	}
	return r, nil
}

// firstLine returns the first line of a message, because nft repeats the source text after it.
func firstLine(message []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(message)), "\n")
	return line
}

// replacing returns the script that replaces the table in one transaction, or removes it if table is empty. The table is
// declared before it is deleted, because deleting a table that does not exist is an error.
func replacing(table string) string { return "table inet hlplay\ndelete table inet hlplay\n" + table }

// includeLine matches a line that includes files, which may be given by a pattern.
var includeLine = pattern.New(`^\s*include\s+["']([^"']+)["']\s*;?\s*(?:#.*)?$`)

const include = `include "` + rules + `"`

// including returns the text of /etc/nftables.conf with the module's file included at the end, unless it is already.
func including(text string) string {
	return conffile.EditLines(text, func(text string) string {
		for line := range strings.Lines(text) {
			if m := includeLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
				pattern := m[1]
				if !path.IsAbs(pattern) { // nft resolves it in /etc
					pattern = path.Join("/etc", pattern)
				}
				if ok, err := path.Match(pattern, rules); ok && err == nil {
					return text
				}
			}
		}
		switch {
		case text == "":
			text = "#!/usr/sbin/nft -f\n"
		case !strings.HasSuffix(text, "\n"):
			text += "\n"
		}
		return text + include + "\n"
	})
}

// excluding returns the text without the line that including has added.
func excluding(text string) string {
	return conffile.EditLines(text, func(text string) string {
		var kept strings.Builder
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != include {
				kept.WriteString(line)
			}
		}
		return kept.String()
	})
}
