package apt

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// Release moves sources from one Debian release to another.
type Release struct {
	From string `hcl:"from" doc:"Code name of the present release, such as bookworm."`
	To   string `hcl:"to" doc:"Code name of the new release, such as trixie."`
}

var codenamePattern = pattern.New(`^[a-z]+$`)

func (r *Release) validate() error {
	for argument, name := range map[string]string{"from": r.From, "to": r.To} {
		if !codenamePattern.MatchString(name) {
			return &modules.ArgumentError{Argument: "release." + argument, Problem: fmt.Sprintf("%q is not a code name", name), Want: "expected one such as bookworm or trixie"}
		}
	}
	if known := slices.Index(codenames, r.From); known >= 0 && slices.Contains(codenames[:known+1], r.To) {
		return &modules.ArgumentError{Argument: "release.to", Problem: r.To + " is not newer than " + r.From, Want: "expected a later release: Debian cannot go back to an earlier one"}
	}
	return nil
}

// plan changes the suites of the enabled sources, file by file. Everything else in the files is kept, including disabled
// sources.
func (r *Release) plan(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	files, err := SourceFiles.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	var steps []modules.Step
	for _, f := range files {
		more, err := conffile.Write(ctx, h, f.Path, r.moved(f.Path, f.Content), fmt.Sprintf("change the sources in %s from %s to %s", f.Path, r.From, r.To))
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

// moved returns the text of a source file with the suites of the other release.
func (r *Release) moved(name, text string) string {
	return conffile.EditLines(text, func(text string) string {
		var out strings.Builder
		if path.Ext(name) != ".sources" {
			for line := range strings.Lines(text) {
				if s, active := parseLine(line); active {
					at := strings.Index(line, s.uris[0]) + len(s.uris[0])
					line = line[:at] + r.renamed(line[at:], s.suites[0])
				}
				out.WriteString(line)
			}
			return out.String()
		}
		for _, block := range stanzas(text) {
			all := parseDeb822(block)
			field := ""
			for line := range strings.Lines(block) {
				name := deb822Field(line)
				if name != "" {
					field = name
				}
				if field == "suites" && line[0] != '#' && len(all) == 1 && all[0].enabled {
					for _, suite := range all[0].suites {
						line = r.renamed(line, suite)
					}
				}
				out.WriteString(line)
			}
		}
		return out.String()
	})
}

// renamed replaces the first occurrence of a suite of the old release as a word.
func (r *Release) renamed(text, suite string) string {
	release, _, _ := strings.Cut(suite, "-")
	if release, _, _ = strings.Cut(release, "/"); release != r.From {
		return text
	}
	word := regexp.MustCompile(`(^|[\s:])` + regexp.QuoteMeta(suite) + `(\s|$)`)
	at := word.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	return text[:at[3]] + r.To + strings.TrimPrefix(suite, r.From) + text[at[4]:]
}

// stanzas splits the text of a deb822 file into stanzas, each with the empty lines after it.
func stanzas(text string) []string {
	var all []string
	var current strings.Builder
	ended := false
	for line := range strings.Lines(text) {
		blank := strings.TrimSpace(line) == ""
		if ended && !blank {
			all = append(all, current.String())
			current.Reset()
		}
		ended = blank
		current.WriteString(line)
	}
	return append(all, current.String())
}

// doubt returns why it is uncertain what the sources offer.
func (r *Release) doubt() error {
	return fmt.Errorf("whether all sources have %s, and what they then offer, only the run can tell", r.To)
}
