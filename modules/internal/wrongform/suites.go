package wrongform

import (
	"context"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// line matches a source of one line (sources.list(5)) in Proxmox's archives, and its suite.
var line = pattern.New(`\bdeb(?:-src)?\s+(?:\[[^\]]*\]\s+)?https?://(?:[\w-]+\.)*proxmox\.com/\S*\s+([\w./-]+)`)

// suites returns the suites of Proxmox's archives that a text names, in either format of apt's sources.
func suites(text string) []string {
	text = effective(text)
	if !strings.Contains(text, "proxmox.com/") {
		return nil
	}
	var all []string
	for _, found := range line.FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	for stanza := range strings.SplitSeq(text, "\n\n") {
		of, named := false, []string(nil)
		for text := range strings.Lines(stanza) {
			key, value, _ := strings.Cut(text, ":")
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "uris":
				of = strings.Contains(value, "proxmox.com/")
			case "suites":
				named = strings.Fields(value)
			}
		}
		if of {
			all = append(all, named...)
		}
	}
	return all
}

// Suites returns advice on a text with sources in Proxmox's archives whose suites are not named after the host's release.
// A host whose release is unknown gets none.
func Suites(ctx context.Context, h modules.Host, argument, text string) []modules.Advice {
	all := suites(text)
	if len(all) == 0 {
		return nil
	}
	release, _, err := observe.Text(ctx, h, "/etc/os-release")
	if err != nil {
		return nil
	}
	return OtherSuites(argument, "this source", observe.Codename(release), all)
}

// OtherSuites returns advice on suites that are not named after the host's release, by its code name. source says whose
// they are.
func OtherSuites(argument, source, release string, suites []string) []modules.Advice {
	foreign := func(suite string) bool {
		name, _, _ := strings.Cut(suite, "-")
		name, _, _ = strings.Cut(name, "/")
		return release != "" && name != release
	}
	if !slices.ContainsFunc(suites, foreign) {
		return nil
	}
	return []modules.Advice{{
		Name: modules.AdviceSuite, Argument: argument, Problem: source + " is for a different Debian release than the host's: " + strings.Join(suites, ", "),
		Want: "Use the host's release: suites = [facts.distribution.codename]",
	}}
}
