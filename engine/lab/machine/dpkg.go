package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

func packagePrograms() map[string]Program {
	return map[string]Program{"dpkg": dpkg, "dpkg-query": dpkgQuery, "apt-get": aptGet, "apt": aptGet, "apt-cache": aptCache, "apt-mark": aptMark, "apt-config": aptConfig,
		"/usr/lib/apt/apt-helper": aptHelper, "debconf-set-selections": debconfSet, "debconf-show": debconfShow, "debconf-communicate": accept("", ""),
		"/usr/sbin/dpkg-reconfigure": accept("", "")}
}

const architecture = "amd64"

func (i installation) words() (want, status, abbrev string) {
	want, abbrev = "install", "ii "
	if i.hold {
		want, abbrev = "hold", "hi "
	}
	switch i.status {
	case statusConfigFiles:
		return "deinstall", "config-files", "rc "
	case statusHalfConfigured:
		return want, "half-configured", abbrev[:1] + "F "
	}
	return want, "installed", abbrev
}

func (i installation) field(name string) (string, bool) {
	want, status, abbrev := i.words()
	switch name {
	case "Package", "binary:Package":
		return i.pkg.Name, true
	case "Version":
		return i.pkg.Version, true
	case "Architecture":
		return architecture, true
	case "Status":
		return want + " ok " + status, true
	case "db:Status-Abbrev":
		return abbrev, true
	case "db:Status-Status":
		return status, true
	case "db:Status-Want":
		return want, true
	case "db:Status-Eflag":
		return "ok", true
	case "Depends":
		return strings.Join(i.pkg.Depends, ", "), true
	case "Conffiles":
		var b strings.Builder
		for _, file := range slices.Sorted(maps.Keys(i.sums)) {
			fmt.Fprintf(&b, "\n %s %s", file, i.sums[file])
		}
		return b.String(), true
	case "Essential":
		return map[bool]string{true: "yes", false: "no"}[i.pkg.Essential], true
	case "Installed-Size", "Section", "Priority", "Maintainer", "Source", "source:Package", "source:Version", "Description", "binary:Summary", "Provides":
		return "", true
	}
	return "", false
}

// dpkgFormat expands one of dpkg-query's formats: ${Field}, ${Field;WIDTH} and backslashes. A
// field that dpkg does not know is empty, as dpkg has it.
func dpkgFormat(format string, field func(name string) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		switch {
		case format[i] == '\\' && i+1 < len(format):
			i++
			switch format[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(format[i])
			}
		case strings.HasPrefix(format[i:], "${"):
			end := strings.IndexByte(format[i:], '}')
			if end < 0 {
				return "", errors.New("missing closing brace in format")
			}
			name, width, padded := strings.Cut(format[i+2:i+end], ";")
			value, _ := field(name)
			if padded {
				var n int
				if _, err := fmt.Sscanf(width, "%d", &n); err != nil || n > 4096 || n < -4096 {
					return "", fmt.Errorf("invalid character '%s' in field width", width)
				}
				value = fmt.Sprintf("%*s", n, value)
			}
			b.WriteString(value)
			i += end
		default:
			b.WriteByte(format[i])
		}
	}
	return b.String(), nil
}

func dpkgQuery(_ context.Context, c *Call) int {
	o, ok := c.options("Wf:lLsS", "show", "showformat=", "list", "listfiles", "status", "search", "no-pager", "load-avail")
	if !ok {
		return 2
	}
	switch {
	case o.has("l", "list"):
		return c.dpkgList(o.rest)
	case o.has("L", "listfiles"):
		return c.dpkgFiles(o.rest)
	case o.has("s", "status"):
		return c.dpkgStatus(o.rest)
	case o.has("S", "search"):
		return c.dpkgSearch(o.rest)
	case !o.has("W", "show"):
		fmt.Fprintln(c.Stderr, "dpkg-query: error: need an action option\n\nUse --help for help about querying packages.")
		return 2
	}
	format := "${binary:Package}\t${Version}\n"
	if o.has("f", "showformat") {
		format = o.value("f", "showformat")
	}
	show := func(i installation) int {
		text, err := dpkgFormat(format, i.field)
		if err != nil {
			fmt.Fprintf(c.Stderr, "dpkg-query: error: error in show format: %v\n", err)
			return 2
		}
		c.printf("%s", text)
		return 0
	}
	all := c.Machine.packages.all()
	if len(o.rest) == 0 {
		for _, i := range all {
			if code := show(i); code != 0 {
				return code
			}
		}
		return 0
	}
	code := 0
	var missing []string
	var matched []installation
	for _, pattern := range o.rest {
		bare, _, _ := strings.Cut(pattern, ":")
		found := false
		for _, i := range all {
			if ok, err := path.Match(bare, i.pkg.Name); err == nil && ok {
				found = true
				if !slices.ContainsFunc(matched, func(m installation) bool { return m.pkg.Name == i.pkg.Name }) {
					matched = append(matched, i)
				}
			}
		}
		if !found {
			missing = append(missing, pattern)
		}
	}
	slices.SortFunc(matched, func(a, b installation) int { return strings.Compare(a.pkg.Name, b.pkg.Name) })
	for _, i := range matched {
		if code := show(i); code != 0 {
			return code
		}
	}
	for _, pattern := range missing {
		fmt.Fprintf(c.Stderr, "dpkg-query: no packages found matching %s\n", pattern)
		code = 1
	}
	return code
}

func (c *Call) dpkgList(patterns []string) int {
	header := "Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ Name           Version      Architecture Description\n+++-==============-============-============-=================================\n"
	var lines []string
	for _, i := range c.Machine.packages.all() {
		matched := len(patterns) == 0
		for _, p := range patterns {
			ok, err := path.Match(p, i.pkg.Name)
			matched = matched || ok && err == nil
		}
		if matched {
			_, _, abbrev := i.words()
			lines = append(lines, fmt.Sprintf("%s %-14s %-12s %-12s %s", abbrev, i.pkg.Name, i.pkg.Version, architecture, i.pkg.Name))
		}
	}
	if len(lines) == 0 {
		for _, p := range patterns {
			fmt.Fprintf(c.Stderr, "dpkg-query: no packages found matching %s\n", p)
		}
		return 1
	}
	c.printf("%s%s\n", header, strings.Join(lines, "\n"))
	return 0
}

func (c *Call) notInstalled(name string) int {
	fmt.Fprintf(c.Stderr, "dpkg-query: package '%s' is not installed\nUse dpkg --contents (= dpkg-deb --contents) to list archive files contents.\n", name)
	return 1
}

func (p Package) paths() []string {
	var all []string
	for file := range p.Files {
		all = append(all, file)
	}
	for file := range p.Conffiles {
		all = append(all, file)
	}
	for name := range p.Programs {
		all = append(all, programPath(name))
	}
	for _, u := range p.Units {
		all = append(all, "/usr/lib/systemd/system/"+UnitName(u.Name))
	}
	slices.Sort(all)
	return all
}

func (c *Call) dpkgFiles(names []string) int {
	for _, name := range names {
		i, ok := c.Machine.packages.get(name)
		if !ok {
			return c.notInstalled(name)
		}
		c.printf("/.\n")
		for _, file := range i.pkg.paths() {
			c.printf("%s\n", file)
		}
	}
	return 0
}

func (c *Call) dpkgSearch(files []string) int {
	code := 0
	for _, file := range files {
		found := false
		for _, i := range c.Machine.packages.all() {
			if slices.Contains(i.pkg.paths(), file) {
				c.printf("%s: %s\n", i.pkg.Name, file)
				found = true
			}
		}
		if !found {
			fmt.Fprintf(c.Stderr, "dpkg-query: no path found matching pattern %s\n", file)
			code = 1
		}
	}
	return code
}

// stanza is a package's entry in /var/lib/dpkg/status.
func (i installation) stanza() string {
	want, status, _ := i.words()
	text := fmt.Sprintf("Package: %s\nStatus: %s ok %s\nArchitecture: %s\nVersion: %s\n", i.pkg.Name, want, status, architecture, i.pkg.Version)
	if len(i.pkg.Depends) > 0 {
		text += "Depends: " + strings.Join(i.pkg.Depends, ", ") + "\n"
	}
	if conffiles, _ := i.field("Conffiles"); conffiles != "" {
		text += "Conffiles:" + conffiles + "\n"
	}
	return text + "Description: " + i.pkg.Name + "\n"
}

func (p *Packages) statusFile() []byte {
	var b strings.Builder
	for _, i := range p.all() {
		b.WriteString(i.stanza() + "\n")
	}
	return []byte(b.String())
}

func (c *Call) dpkgStatus(names []string) int {
	code := 0
	for _, name := range names {
		i, ok := c.Machine.packages.get(name)
		if !ok {
			fmt.Fprintf(c.Stderr, "dpkg-query: package '%s' is not installed and no information is available\nUse dpkg --info (= dpkg-deb --info) to examine archive files.\n", name)
			code = 1
			continue
		}
		c.printf("%s\n", i.stanza())
	}
	return code
}

func dpkg(_ context.Context, c *Call) int {
	o, ok := c.options("lsLSirPaEG", "list", "status", "listfiles", "search", "configure", "print-architecture", "print-foreign-architectures", "compare-versions", "audit", "install", "remove", "purge", "pending",
		"get-selections", "set-selections", "force-confold", "force-confdef", "force-confnew", "verify", "C")
	if !ok {
		return 2
	}
	switch {
	case o.has("print-architecture"):
		c.printf("%s\n", architecture)
		return 0
	case o.has("print-foreign-architectures"), o.has("audit"), o.has("verify"):
		return 0
	case o.has("compare-versions"):
		if len(o.rest) != 3 {
			fmt.Fprintln(c.Stderr, "dpkg: error: --compare-versions takes three arguments: <version> <relation> <version>")
			return 2
		}
		if compareBy(o.rest[0], o.rest[1], o.rest[2]) {
			return 0
		}
		return 1
	case o.has("l", "list"):
		return c.dpkgList(o.rest)
	case o.has("s", "status"):
		return c.dpkgStatus(o.rest)
	case o.has("L", "listfiles"):
		return c.dpkgFiles(o.rest)
	case o.has("S", "search"):
		return c.dpkgSearch(o.rest)
	case o.has("get-selections"):
		for _, i := range c.Machine.packages.all() {
			want, _, _ := i.words()
			c.printf("%-40s\t%s\n", i.pkg.Name, want)
		}
		return 0
	}
	if c.User != "root" {
		fmt.Fprintln(c.Stderr, "dpkg: error: requested operation requires superuser privilege")
		return 2
	}
	if by, left := c.Machine.aptLock(); left > 0 {
		fmt.Fprintf(c.Stderr, "dpkg: error: dpkg frontend lock was locked by another process with pid %d\nNote: removing the lock file is always wrong, can damage the locked area\nand the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n", lockPID(by))
		return 2
	}
	switch {
	case o.has("configure"):
		for _, i := range c.Machine.packages.all() {
			if i.status != statusHalfConfigured || !o.has("a", "pending") && !slices.Contains(o.rest, i.pkg.Name) {
				continue
			}
			if err := c.Machine.packages.configure(i.pkg.Name, c.Stdout, applyOptions{by: "dpkg", conffiles: forcedConffiles(o)}); err != nil {
				fmt.Fprintf(c.Stderr, "%v\nErrors were encountered while processing:\n %s\n", err, i.pkg.Name)
				return 1
			}
			c.Machine.Record("dpkg", "configure "+i.pkg.Name)
		}
		return 0
	case o.has("r", "P", "remove", "purge"):
		for _, name := range o.rest {
			if err := c.Machine.packages.remove(name, o.has("P", "purge"), c.Stdout, applyOptions{by: "dpkg"}); err != nil {
				fmt.Fprintf(c.Stderr, "%v\nErrors were encountered while processing:\n %s\n", err, name)
				return 1
			}
		}
		return 0
	case o.has("set-selections"):
		content, err := io.ReadAll(c.Stdin)
		if err != nil {
			return c.Errorf("%s", errText(err))
		}
		for line := range strings.Lines(string(content)) {
			if f := strings.Fields(line); len(f) == 2 {
				c.Machine.packages.hold(f[0], f[1] == "hold")
				c.Machine.Record("dpkg", "select "+f[0]+" "+f[1])
			}
		}
		return 0
	}
	return notSimulated(c, strings.Join(c.Argv[1:], " "))
}

func forcedConffiles(o options) conffilePolicy {
	switch {
	case o.has("force-confnew"):
		return conffileReplace
	case o.has("force-confold", "force-confdef"):
		return conffileKeep
	}
	return conffileAsk
}

func (p *Packages) hold(name string, hold bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.db[name]; i != nil {
		i.hold = hold
	}
}

func lockPID(by string) int { return 1000 + len(by)*37 }

func (m *Machine) debconfAnswer(question string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.debconf[question]
}

// debconfSet reads "PACKAGE QUESTION TYPE VALUE" lines.
func debconfSet(_ context.Context, c *Call) int {
	o, ok := c.options("cvu", "checkonly", "unseen", "verbose")
	if !ok {
		return 2
	}
	if c.User != "root" {
		fmt.Fprintln(c.Stderr, "debconf: DbDriver \"passwords\" warning: could not open /var/cache/debconf/passwords.dat: Permission denied")
		return 1
	}
	text, code := c.operandText(o.rest)
	if code != 0 {
		return code
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			fmt.Fprintf(c.Stderr, "error: Cannot parse line: %s\n", line)
			code = 1
			continue
		}
		value := ""
		if len(f) > 3 {
			_, value, _ = strings.Cut(line, f[2])
			value = strings.TrimLeft(value, " \t")
		}
		if o.has("c", "checkonly") {
			continue
		}
		c.Machine.mu.Lock()
		c.Machine.debconf[f[1]] = value
		c.Machine.debconf["\x00owner "+f[1]] = f[0]
		c.Machine.mu.Unlock()
		c.Machine.Record("debconf-set-selections", "answer "+f[1])
	}
	return code
}

func debconfShow(_ context.Context, c *Call) int {
	o, ok := c.options("", "db=", "listowners")
	if !ok {
		return 2
	}
	c.Machine.mu.Lock()
	defer c.Machine.mu.Unlock()
	for _, name := range o.rest {
		for _, question := range slices.Sorted(maps.Keys(c.Machine.debconf)) {
			if c.Machine.debconf["\x00owner "+question] == name {
				c.printf("* %s: %s\n", question, c.Machine.debconf[question])
			}
		}
	}
	return 0
}
