// Package locale implements the module that generates locales and sets the host's default one.
package locale

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/required"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "locale",
	Aliases: []string{"locale_gen", "localectl"},
	Summary: "Generated locales, and the host's default locale",
	Doc: `Lists locales in /etc/locale.gen and generates missing ones with locale-gen; no locale is removed. ` + "`lang`" + ` sets LANG in
/etc/default/locale, which applies to later logins and to services that are started later. The package locales must be installed.`,
	Example: `task "German texts, English messages" {
  locale {
    generate = ["en_US.UTF-8", "de_DE.UTF-8"]
    lang     = "en_US.UTF-8"
  }
}`,
	New: func() modules.Module { return &locale{} },
}

// locale holds the module's arguments.
type locale struct {
	Generate []string `hcl:"generate,optional" doc:"Locales to generate, all in UTF-8: en_US.UTF-8."`
	Lang     string   `hcl:"lang,optional" doc:"The host's default locale: a generated one, or C.UTF-8."`
}

const (
	list      = "/etc/locale.gen"           // locale.gen(5)
	supported = "/usr/share/i18n/SUPPORTED" // what locale-gen can generate
	setting   = "/etc/default/locale"       // locale(5), read by pam_env and systemd; a link to /etc/locale.conf since Debian 13
	generator = "locale-gen"
)

// form matches the name of a UTF-8 locale.
var form = pattern.New(`^[a-z]{2,3}_[A-Z]{2}\.UTF-8(@[a-z]+)?$`)

// generated observes the locales that programs can use, normalized by normal. Its only name is "".
var generated = &observe.Kind[[]string]{
	Name: "locales", What: "the locales of the host",
	Ask: func([]string) []remote.Query { return []remote.Query{{Script: "locale -a", Inline: true}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, []string, error)) {
		a := answers[0]
		var all []string
		for _, line := range observe.Lines(a.Stdout) {
			all = append(all, normal(line))
		}
		err := a.Err
		if err == nil && (a.Exit != 0 || len(all) == 0) {
			err = fmt.Errorf("locale -a: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
		slices.Sort(all)
		for _, name := range names {
			tell(name, slices.Compact(all), err)
		}
	},
}

// normal returns the name of a locale in the form that the C library compares: with the codeset in lower case and without
// hyphens.
func normal(name string) string {
	base, rest, ok := strings.Cut(name, ".")
	if !ok {
		return name
	}
	codeset, modifier, at := strings.Cut(rest, "@")
	codeset = strings.ToLower(strings.ReplaceAll(codeset, "-", ""))
	if at {
		codeset += "@" + modifier
	}
	return base + "." + codeset
}

// Validate implements modules.Validator.
func (m *locale) Validate() error {
	if len(m.Generate) == 0 && m.Lang == "" {
		return &modules.ArgumentError{Argument: "generate", Problem: "there is nothing to do", Want: "give generate or lang"}
	}
	for _, name := range m.Generate {
		if !form.MatchString(name) {
			return &modules.ArgumentError{Argument: "generate", Problem: fmt.Sprintf("%q is not the name of a UTF-8 locale", name), Want: "expected a name such as en_US.UTF-8; C.UTF-8 is built in"}
		}
	}
	if m.Lang != "" && m.Lang != "C.UTF-8" && !form.MatchString(m.Lang) {
		return &modules.ArgumentError{Argument: "lang", Problem: fmt.Sprintf("%q is not the name of a UTF-8 locale", m.Lang), Want: "expected a name such as en_US.UTF-8 or C.UTF-8"}
	}
	return nil
}

// Want implements modules.Announcer.
func (m *locale) Want(h modules.Host) {
	generated.Want(h, "")
	if len(m.Generate) > 0 {
		observe.Files.Want(h, list)
	}
	if m.Lang != "" {
		observe.Files.Want(h, setting)
	}
}

// Plan implements modules.Module.
func (m *locale) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	there, err := generated.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	steps, err := m.make(ctx, h, there)
	if err != nil {
		return modules.Plan{}, err
	}
	if m.Lang == "" {
		return modules.Plan{Steps: steps}, nil
	}
	if !slices.Contains(there, normal(m.Lang)) && !slices.Contains(m.Generate, m.Lang) {
		return modules.Plan{}, fmt.Errorf("lang: %s has no locale %s: add it to generate", h.Name(), m.Lang)
	}
	text, _, err := observe.Text(ctx, h, setting)
	if err != nil {
		return modules.Plan{}, err
	}
	after := conffile.EditLines(text, func(text string) string { return withLang(text, m.Lang) })
	set, err := conffile.Write(ctx, h, setting, after, "set the host's locale to "+m.Lang)
	return modules.Plan{Steps: append(steps, set...)}, err
}

// make plans to list and generate the missing locales.
func (m *locale) make(ctx context.Context, h modules.Host, there []string) ([]modules.Step, error) {
	var missing []string
	for _, name := range m.Generate {
		if !slices.Contains(there, normal(name)) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(m.Generate) == 0 {
		return nil, nil
	}
	text, _, err := observe.Text(ctx, h, list)
	if err != nil {
		return nil, err
	}
	listed := text
	for _, name := range m.Generate {
		listed = conffile.EditLines(listed, func(text string) string { return withEntry(text, name) })
	}
	if listed == text && len(missing) == 0 {
		return nil, nil
	}
	if err := required.Program(ctx, h, generator, "making locales (package locales)"); err != nil {
		return nil, err
	}
	known, _, err := observe.Text(ctx, h, supported)
	if err != nil {
		return nil, err
	}
	for _, name := range missing {
		if !hasEntry(known, name) {
			return nil, fmt.Errorf("%s has no locale %s: %s lists those that can be generated", h.Name(), name, supported)
		}
	}
	steps, err := conffile.Write(ctx, h, list, listed, "list "+strings.Join(m.Generate, ", ")+" in "+list)
	if err != nil || len(missing) == 0 {
		return steps, err
	}
	return append(steps, modules.Step{
		Summary: "generate the locales " + strings.Join(missing, ", "),
		Action:  modules.Run{Argv: []string{generator, "--keep-existing"}, Limit: 10 * time.Minute},
		Expect:  []observe.Expectation{generated.ExpectUpdate("", there, func(now []string) []string { return merged(now, missing) })},
		Exact:   true,
	}), nil
}

// merged returns the locales including the generated ones.
func merged(now, made []string) []string {
	all := slices.Clone(now)
	for _, name := range made {
		all = append(all, normal(name))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// entry returns the line of a locale in locale.gen and SUPPORTED.
func entry(name string) string { return name + " UTF-8" }

// isEntry reports whether a line is that of the locale. A name with a modifier may lack the codeset.
func isEntry(line, name string) bool {
	fields := strings.Fields(line)
	return len(fields) == 2 && fields[1] == "UTF-8" && (fields[0] == name || fields[0] == strings.Replace(name, ".UTF-8", "", 1))
}

func hasEntry(text, name string) bool {
	for line := range strings.Lines(text) {
		if isEntry(line, name) {
			return true
		}
	}
	return false
}

// withEntry returns the text of locale.gen with the line of a locale; a commented-out line is uncommented.
func withEntry(text, name string) string {
	if hasEntry(text, name) {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if bare, ok := strings.CutPrefix(line, "#"); ok && isEntry(bare, name) {
			lines[i] = strings.TrimLeft(bare, " \t")
			return strings.Join(lines, "")
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + entry(name) + "\n"
}

// withLang returns the text of the file with another LANG. Other variables are kept.
func withLang(text, lang string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "LANG=")
		switch {
		case !ok:
		case strings.Trim(value, `"'`) == lang:
			return text
		default:
			lines[i] = "LANG=" + lang + "\n"
			return strings.Join(lines, "")
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + "LANG=" + lang + "\n"
}
