package machine

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// sectionOf maps the suffix of a unit to the section for its type.
var sectionOf = map[string]string{".service": "Service", ".timer": "Timer", ".socket": "Socket", ".path": "Path", ".mount": "Mount", ".automount": "Automount", ".slice": "Slice", ".scope": "Scope", ".swap": "Swap"}

// assignment is an assignment in systemd.syntax(7).
var assignment = regexp.MustCompile(`^([A-Za-z0-9]+)\s*=\s*(.*)$`)

// systemdAnalyze reports syntax errors in unit files and programs that do not exist. The real one knows every key of
// every section; this one only knows that no key begins with a lower-case letter.
func systemdAnalyze(_ context.Context, c *Call) int {
	o, ok := c.options("", "man=", "recursive-errors=", "no-pager")
	if !ok {
		return 1
	}
	if len(o.rest) < 2 || o.rest[0] != "verify" {
		return notSimulated(c, strings.Join(o.rest, " "))
	}
	code := 0
	for _, file := range o.rest[1:] {
		file = c.Path(file)
		name := path.Base(file)
		text, err := afero.ReadFile(c.FS(), file)
		if err != nil {
			return c.Errorf("Failed to prepare filename %s: %s", file, errText(err))
		}
		files := []string{file}
		drops, _ := afero.Glob(c.FS(), file+".d/*.conf") // the only error is a bad pattern
		all := string(text) + "\n"
		for _, drop := range drops {
			content, err := afero.ReadFile(c.FS(), drop)
			if err != nil {
				return c.Errorf("Failed to load %s: %s", drop, errText(err))
			}
			files, all = append(files, drop), all+string(content)
		}
		complaints := []string{}
		for _, f := range files {
			content, _ := afero.ReadFile(c.FS(), f) // it was read above
			complaints = append(complaints, misread(f, path.Ext(name), string(content))...)
		}
		d := declared(all)
		switch {
		case path.Ext(name) == ".service" && d.exec == "" && !strings.Contains(all, "ExecStop="):
			complaints = append(complaints, name+": Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.", "Unit "+name+" has a bad unit file setting.")
		case path.IsAbs(d.exec) && !c.packaged(name, d.exec):
			if info, err := c.FS().Stat(d.exec); err != nil || info.IsDir() {
				complaints = append(complaints, fmt.Sprintf("%s: Command %s is not executable: No such file or directory", name, d.exec))
			}
		}
		for _, complaint := range complaints {
			fmt.Fprintln(c.Stderr, complaint)
			code = 1
		}
	}
	return code
}

// misread returns systemd's messages about the lines of a file that it ignores.
func misread(file, kind, text string) []string {
	var all []string
	section, continued := "", false
	sections := []string{"Unit", "Install", sectionOf[kind]}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		part := continued
		continued = strings.HasSuffix(line, `\`)
		key := assignment.FindStringSubmatch(line)
		switch {
		case part || line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			if section = strings.Trim(line, "[]"); !slices.Contains(sections, section) && !strings.HasPrefix(section, "X-") {
				all = append(all, fmt.Sprintf("%s:%d: Unknown section '%s'. Ignoring.", file, i+1, section))
			}
		case key == nil:
			all = append(all, fmt.Sprintf("%s:%d: Missing '=', ignoring line.", file, i+1))
		case section == "":
			all = append(all, fmt.Sprintf("%s:%d: Assignment outside of section. Ignoring.", file, i+1))
		case key[1][0] >= 'a' && slices.Contains(sections, section):
			all = append(all, fmt.Sprintf("%s:%d: Unknown key '%s' in section [%s], ignoring.", file, i+1, key[1], section))
		}
	}
	return all
}

// packaged reports whether the unit of a package starts a program: the lab has the units of daemons, but not the
// daemons themselves.
func (c *Call) packaged(unit, program string) bool {
	text, err := afero.ReadFile(c.FS(), "/usr/lib/systemd/system/"+unit)
	return err == nil && declared(string(text)).exec == program
}
