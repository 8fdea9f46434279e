package systemd_unit

import (
	"context"
	"path"
	"strings"

	"hlplay/engine/observe"
)

// install is the [Install] section of a unit file.
type install struct {
	// links are the symbolic links that systemctl enable makes.
	links []string
	// other is set if the section has keys other than WantedBy=, RequiredBy= and UpheldBy=.
	other bool
}

// installOf parses the [Install] section of a unit file, as described in systemd.unit(5).
func installOf(name, text string) install {
	var in install
	section := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if section != "[Install]" || !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		dir, known := map[string]string{"WantedBy": "wants", "RequiredBy": "requires", "UpheldBy": "upholds"}[strings.TrimSpace(key)]
		if !known || strings.Contains(value, "%") {
			in.other = true
			continue
		}
		for target := range strings.FieldsSeq(value) {
			in.links = append(in.links, path.Join(units, target+"."+dir, name))
		}
	}
	return in
}

// loaded returns the expected unit once systemd has read the file.
func (s *state) loaded(ctx context.Context) (observe.Expectation, error) {
	switch {
	case s.template():
		return s.instances("an earlier task changes its template"), nil
	case s.DropIn != "" && strings.Contains(s.Content, "[Install]"):
		return observe.Units.Unknown(s.Name, "a drop-in changes its [Install] section"), nil
	case s.DropIn != "":
		after := s.now
		after.Stale = false
		return observe.Units.Expect(s.Name, after), nil
	case s.doubt != nil:
		return observe.Units.Unknown(s.Name, "its state before cannot be known"), nil
	}
	in := installOf(s.Name, s.Content)
	after := s.now
	if !after.Exists() {
		after = observe.Unit{ID: s.Name, ActiveState: "inactive", SubState: "dead"}
	}
	after.LoadState, after.LoadError, after.Source, after.Stale = "loaded", "", "", false
	if !strings.HasPrefix(after.UnitFileState, "enabled") {
		links, err := observe.Files.ObserveAll(ctx, s.host, in.links)
		if err != nil {
			return observe.Expectation{}, err
		}
		after.UnitFileState = "static"
		if len(links) > 0 {
			after.UnitFileState = "disabled"
		}
		for _, link := range links { // a link is left over from an earlier unit of the same name
			if link.Exists() {
				after.UnitFileState = "enabled"
			}
		}
		if in.other {
			return observe.Units.Unknown(s.Name, "its [Install] section has more than WantedBy=, RequiredBy= and UpheldBy="), nil
		}
	}
	return observe.Units.Expect(s.Name, after), nil
}

// withoutDropIn returns the expected unit without the drop-in.
func (s *state) withoutDropIn() observe.Expectation {
	switch {
	case s.template():
		return s.instances("an earlier task removes a drop-in of its template")
	case strings.Contains(string(s.file.Content), "[Install]") || !s.now.Exists():
		return observe.Units.Unknown(s.Name, "an earlier task removes a drop-in")
	}
	after := s.now
	after.Stale = false
	return observe.Units.Expect(s.Name, after)
}

// gone returns the expected unit without its file. A file from a package may then apply.
func (s *state) gone(ctx context.Context) (observe.Expectation, error) {
	if s.template() {
		return s.instances("an earlier task removes its template"), nil
	}
	var others []string
	for _, dir := range []string{"/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/etc/init.d"} {
		name := s.Name
		if dir == "/etc/init.d" {
			name = strings.TrimSuffix(name, ".service")
		}
		others = append(others, path.Join(dir, name))
	}
	found, err := observe.Paths.ObserveAll(ctx, s.host, others)
	if err != nil {
		return observe.Expectation{}, err
	}
	for _, name := range others {
		if found[name] {
			return observe.Units.Unknown(s.Name, "systemd will use "+name+" instead"), nil
		}
	}
	return observe.Units.Expect(s.Name, observe.NoUnit(s.Name)), nil
}

// instances returns the expectation that the instances of a template are unknown.
func (s *state) instances(because string) observe.Expectation {
	stem, kind, _ := strings.Cut(s.Name, "@")
	return observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == observe.Units.Name && strings.HasPrefix(k.Name, stem+"@") && strings.HasSuffix(k.Name, kind)
		},
		Unknown: because,
	}
}
