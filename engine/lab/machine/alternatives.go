package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// The directories of update-alternatives(1). The packages of simulated nodes bring no alternatives.
const (
	alternativesLinks = "/etc/alternatives"
	alternativesFiles = "/var/lib/dpkg/alternatives"
)

// alternativesGroup is what update-alternatives(1) knows of a name, in the file of that name in its directory. Links that
// come with an alternative (--slave) are not simulated.
type alternativesGroup struct {
	mode, link string
	choices    []alternativesChoice // in the order of their paths
}

type alternativesChoice struct {
	path     string
	priority int
}

// alternativesDirs are the directories of the links and of the files.
type alternativesDirs struct{ links, files string }

// updateAlternatives simulates update-alternatives of dpkg 1.21, without the log that it keeps: --log is ignored.
func updateAlternatives(_ context.Context, c *Call) int {
	o, ok := c.parse(c.Argv[1:], "", "altdir=", "admindir=", "log=", "query", "list", "display", "set", "auto", "install")
	if !ok {
		return 2
	}
	d := alternativesDirs{cmp.Or(o.value("altdir"), alternativesLinks), cmp.Or(o.value("admindir"), alternativesFiles)}
	operands := map[string]int{"query": 1, "list": 1, "display": 1, "auto": 1, "set": 2, "install": 4}
	for verb, n := range operands {
		if !o.has(verb) {
			continue
		}
		if len(o.rest) != n {
			return notSimulated(c, fmt.Sprintf("--%s with %d operands", verb, len(o.rest)))
		}
		name := o.rest[0]
		if verb == "install" {
			name = o.rest[1]
		}
		g, err := d.read(c, name)
		if err != nil && (verb != "install" || !errors.Is(err, fs.ErrNotExist)) {
			if errors.Is(err, fs.ErrNotExist) {
				return alternativesFailed(c, "no alternatives for "+name)
			}
			return alternativesFailed(c, errText(err))
		}
		switch verb {
		case "query", "list", "display":
			g.print(c, d, verb, name)
			return 0
		case "set":
			if !slices.ContainsFunc(g.choices, func(ch alternativesChoice) bool { return ch.path == o.rest[1] }) {
				return alternativesFailed(c, "alternative "+o.rest[1]+" for "+name+" not registered; not setting")
			}
			g.mode = "manual"
			return d.choose(c, name, g, o.rest[1])
		case "auto":
			g.mode = "auto"
		case "install":
			priority, err := strconv.Atoi(o.rest[3])
			if err != nil {
				fmt.Fprintf(c.Stderr, "update-alternatives: priority '%s' must be an integer\n\nUse 'update-alternatives --help' for program usage information.\n", o.rest[3])
				return 2
			}
			if code := g.install(c, name, o.rest[0], o.rest[2], priority); code != 0 {
				return code
			}
		}
		value := d.value(c, name)
		if g.mode == "auto" {
			value = g.best(value)
		}
		return d.choose(c, name, g, value)
	}
	return notSimulated(c, "without a command such as --set")
}

func alternativesFailed(c *Call, text string) int {
	c.Errorf("error: %s", text)
	return 2
}

// read returns the group of a name.
func (d alternativesDirs) read(c *Call, name string) (alternativesGroup, error) {
	text, err := afero.ReadFile(c.FS(), path.Join(d.files, name))
	if err != nil {
		return alternativesGroup{mode: "auto"}, err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || lines[2] != "" {
		return alternativesGroup{}, fmt.Errorf("%s lists links that come with an alternative, which is not supported on simulated nodes", path.Join(d.files, name))
	}
	g := alternativesGroup{mode: lines[0], link: lines[1]}
	for rest := lines[3:]; len(rest) > 1 && rest[0] != ""; rest = rest[2:] {
		priority, err := strconv.Atoi(rest[1])
		if err != nil {
			return alternativesGroup{}, err
		}
		g.choices = append(g.choices, alternativesChoice{rest[0], priority})
	}
	return g, nil
}

// value returns what the link of a name points at, or "".
func (d alternativesDirs) value(c *Call, name string) string {
	target, err := c.view().ReadlinkIfPossible(path.Join(d.links, name))
	if err != nil {
		return ""
	}
	return target
}

// best returns the choice with the highest priority; among equals the present one, or else the first.
func (g alternativesGroup) best(now string) string {
	at := max(0, slices.IndexFunc(g.choices, func(ch alternativesChoice) bool { return ch.path == now }))
	for i, ch := range g.choices {
		if ch.priority > g.choices[at].priority {
			at = i
		}
	}
	return g.choices[at].path
}

// install registers a path.
func (g *alternativesGroup) install(c *Call, name, link, file string, priority int) int {
	if strings.ContainsAny(name, "/ \t") {
		return alternativesFailed(c, "alternative name ("+name+") must not contain '/' and spaces")
	}
	if !path.IsAbs(link) {
		return alternativesFailed(c, "alternative link is not absolute as it should be: "+link)
	}
	if _, err := c.FS().Stat(file); err != nil {
		return alternativesFailed(c, "alternative path "+file+" doesn't exist")
	}
	if g.link != "" && g.link != link {
		return notSimulated(c, "another link for "+name)
	}
	g.link = link
	choice := alternativesChoice{file, priority}
	at, there := slices.BinarySearchFunc(g.choices, file, func(ch alternativesChoice, p string) int { return cmp.Compare(ch.path, p) })
	if there {
		g.choices[at] = choice
	} else {
		g.choices = slices.Insert(g.choices, at, choice)
	}
	return 0
}

// choose writes a group, and makes its links lead to a path.
func (d alternativesDirs) choose(c *Call, name string, g alternativesGroup, file string) int {
	text := g.mode + "\n" + g.link + "\n\n"
	for _, ch := range g.choices {
		text += fmt.Sprintf("%s\n%d\n", ch.path, ch.priority)
	}
	v := c.view()
	if old, err := afero.ReadFile(v, path.Join(d.files, name)); err != nil || string(old) != text+"\n" {
		if err := writeFile(v, path.Join(d.files, name), text+"\n", 0o644); err != nil {
			return alternativesFailed(c, errText(err))
		}
	}
	if d.value(c, name) != file {
		c.printf("update-alternatives: using %s to provide %s (%s) in %s mode\n", file, g.link, name, g.mode)
	}
	for link, target := range map[string]string{path.Join(d.links, name): file, g.link: path.Join(d.links, name)} {
		info, _, err := v.LstatIfPossible(link)
		if err == nil && info.Mode()&fs.ModeSymlink == 0 {
			fmt.Fprintf(c.Stderr, "update-alternatives: warning: not replacing %s with a link\n", link)
			continue
		}
		if now, err := v.ReadlinkIfPossible(link); err == nil && now == target {
			continue
		}
		if err == nil {
			if err := v.Remove(link); err != nil {
				return alternativesFailed(c, errText(err))
			}
		}
		if err := v.SymlinkIfPossible(target, link); err != nil {
			return alternativesFailed(c, errText(err))
		}
	}
	return 0
}

// print prints a group as --query, --list or --display.
func (g alternativesGroup) print(c *Call, d alternativesDirs, verb, name string) {
	value := d.value(c, name)
	switch verb {
	case "query":
		c.printf("Name: %s\nLink: %s\nStatus: %s\nBest: %s\nValue: %s\n", name, g.link, g.mode, g.best(value), cmp.Or(value, "none"))
	case "display":
		c.printf("%s - %s mode\n  link best version is %s\n", name, g.mode, g.best(value))
		if value == "" {
			c.printf("  link currently absent\n")
		} else {
			c.printf("  link currently points to %s\n", value)
		}
		c.printf("  link %s is %s\n", name, g.link)
	}
	for _, ch := range g.choices {
		switch verb {
		case "query":
			c.printf("\nAlternative: %s\nPriority: %d\n", ch.path, ch.priority)
		case "list":
			c.printf("%s\n", ch.path)
		case "display":
			c.printf("%s - priority %d\n", ch.path, ch.priority)
		}
	}
}
