package machine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

const (
	// supportedLocales lists the locales that locale-gen can generate, of which a simulated node has a few.
	supportedLocales = "/usr/share/i18n/SUPPORTED"
	// localeArchive contains the generated locales, in the lab one per line.
	localeArchive = "/usr/lib/locale/locale-archive"
)

// locale lists the available locales as the C library names them.
func locale(_ context.Context, c *Call) int {
	o, ok := c.options("a", "all-locales")
	if !ok {
		return 1
	}
	if !o.has("a", "all-locales") {
		return notSimulated(c, "the settings")
	}
	all := []string{"C", "C.utf8", "POSIX"}
	made, _ := afero.ReadFile(c.FS(), localeArchive) // without it there are only the builtin ones
	for name := range strings.FieldsSeq(string(made)) {
		all = append(all, strings.Replace(name, "UTF-8", "utf8", 1))
	}
	slices.Sort(all)
	c.printf("%s\n", strings.Join(slices.Compact(all), "\n"))
	return 0
}

// localeGen generates the locales that /etc/locale.gen lists. Like the real one, it exits with 0 even if some of them
// failed.
func localeGen(_ context.Context, c *Call) int {
	o, ok := c.options("", "keep-existing")
	if !ok {
		return 1
	}
	list, err := afero.ReadFile(c.FS(), "/etc/locale.gen")
	if err != nil || len(list) == 0 {
		return 0
	}
	var made []string
	if o.has("keep-existing") {
		before, _ := afero.ReadFile(c.FS(), localeArchive) // there may be none yet
		made = strings.Fields(string(before))
	}
	supported, _ := afero.ReadFile(c.FS(), supportedLocales) // without it none can be generated
	c.printf("Generating locales (this might take a while)...\n")
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		name, charset, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#' || slices.Contains(made, name):
		case !slices.Contains(strings.Split(string(supported), "\n"), line):
			c.printf("  %s...", name)
			fmt.Fprintf(c.Stderr, "[error] character map file `%s' not found: No such file or directory\n", charset)
			c.printf(" done\n")
		default:
			c.printf("  %s... done\n", name)
			made = append(made, name)
		}
	}
	c.printf("Generation complete.\n")
	if err := c.FS().MkdirAll("/usr/lib/locale", 0o755); err != nil {
		return c.Errorf("%s", errText(err))
	}
	if err := afero.WriteFile(c.FS(), localeArchive, []byte(strings.Join(made, "\n")+"\n"), 0o644); err != nil {
		return c.Errorf("%s", errText(err))
	}
	return 0
}
