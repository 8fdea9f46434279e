package network

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/network/interfaces"
)

// staged is where Proxmox VE's web interface keeps pending changes. Applying them replaces /etc/network/interfaces with it.
const staged = "/etc/network/interfaces.new"

// dropIns is the usual directory for further files.
const dropIns = "/etc/network/interfaces.d"

// readOthers returns the files that the text of /etc/network/interfaces includes, directly or indirectly, in the order in
// which they are read.
func readOthers(ctx context.Context, h modules.Host, text string) ([]interfaces.Named, error) {
	seen := map[string]bool{interfaces.Path: true}
	var all []interfaces.Named
	var read func(f interfaces.Named) error
	read = func(f interfaces.Named) error {
		for _, s := range f.Sources() {
			names, err := matches(ctx, h, s)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", f.Path, s.Line, err)
			}
			observe.Files.Want(h, names...)
			for _, name := range names {
				if seen[name] {
					continue
				}
				seen[name] = true
				text, exists, err := observe.Text(ctx, h, name)
				if err != nil {
					return err
				}
				if !exists {
					continue
				}
				other := interfaces.Named{Path: name, File: interfaces.Parse(text)}
				all = append(all, other)
				if err := read(other); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return all, read(interfaces.Named{Path: interfaces.Path, File: interfaces.Parse(text)})
}

// directoryName matches the names of the files that source-directory includes.
var directoryName = pattern.New(`^[A-Za-z0-9_-]+$`)

// matches returns the files that a source line includes.
func matches(ctx context.Context, h modules.Host, s interfaces.Source) ([]string, error) {
	pattern := s.Pattern
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(interfaces.Path), pattern)
	}
	dir, base := path.Split(path.Clean(pattern))
	if s.Directory {
		dir, base = pattern, "*"
	}
	const special = `*?[{$~`
	if strings.ContainsAny(dir, special) || strings.ContainsAny(base, "{$~") {
		return nil, fmt.Errorf("only the host's shell can expand %q: name the files one by one, or use a pattern in the last part of the path only", s.Pattern)
	}
	if !strings.ContainsAny(base, special) {
		return []string{path.Join(dir, base)}, nil
	}
	there, err := observe.Dirs.Observe(ctx, h, path.Clean(dir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range there.Entries {
		matched, err := path.Match(base, name)
		if err != nil {
			return nil, fmt.Errorf("%q is not a pattern: %w", s.Pattern, err)
		}
		if matched && !strings.HasPrefix(name, ".") && (!s.Directory || directoryName.MatchString(name)) {
			names = append(names, path.Join(dir, name))
		}
	}
	return names, nil
}

// declaredElsewhere returns an error if another file declares an interface of the task.
func declaredElsewhere(others []interfaces.Named, wants []want, absent []string) error {
	for _, f := range others {
		for _, s := range f.Stanzas() {
			w, ok := find(wants, s.Device())
			if slices.Contains(absent, s.Device()) {
				return fmt.Errorf("absent: %s:%d declares %s: remove its lines there, or name the file in a file task with state = \"absent\"", f.Path, s.Line, s.Name)
			}
			if !ok {
				continue
			}
			way := fmt.Sprintf("move its lines to %s, or remove them", interfaces.Path)
			if strings.Contains(path.Base(f.Path), "cloud-init") {
				way = "cloud-init writes this file: write `network: {config: disabled}` to /etc/cloud/cloud.cfg.d/99-network.cfg, and remove its lines"
			}
			return fmt.Errorf("%s: %s:%d also declares %s, and ifupdown2 merges the declarations of an interface from several files: %s", w.block, f.Path, s.Line, s.Name, way)
		}
	}
	return nil
}

// waiting returns an error if the web interface has pending changes.
func waiting(ctx context.Context, h modules.Host) error {
	f, err := observe.Files.Observe(ctx, h, staged)
	if err != nil || !f.Exists() {
		return err
	}
	return fmt.Errorf("%s holds changes made in the web interface that are not applied yet: applying them, or restarting the host, would undo the changes of this task. Apply them or discard them: pvesh delete /nodes/%s/network", staged, h.Name())
}

// managers are units that configure networks too.
var managers = []struct{ unit, way string }{
	{"NetworkManager.service", "it takes interfaces away from ifupdown2: systemctl disable --now NetworkManager.service"},
	{"systemd-networkd.service", "it configures every interface for which it has a file: move its files from /etc/systemd/network to " + interfaces.Path + ", then systemctl disable --now systemd-networkd.service systemd-networkd.socket"},
}

// managed returns an error if something other than ifupdown2 configures the network.
func managed(ctx context.Context, h modules.Host) error {
	var units []string
	for _, m := range managers {
		units = append(units, m.unit)
	}
	all, err := observe.Units.ObserveAll(ctx, h, units)
	if err != nil {
		return err
	}
	for _, m := range managers {
		if all[m.unit].Active() {
			return fmt.Errorf("%s is running: %s", m.unit, m.way)
		}
	}
	return nil
}

// ready returns an error if the host cannot reload its network.
func ready(ctx context.Context, h modules.Host) error {
	p, err := observe.Packages.Observe(ctx, h, "ifupdown2")
	if err != nil || p.Installed() {
		return err
	}
	return fmt.Errorf("ifupdown2 is not installed, and without its ifreload every change takes the whole network down first: install it in an earlier task (apt { packages = [\"ifupdown2\"] }); Proxmox VE includes it")
}

// blockOf returns the block of the task that declares one of the interfaces, for errors.
func (s state) blockOf(names ...string) string {
	for _, name := range names {
		if slices.Contains(s.absent, name) {
			return "absent"
		}
		if at := slices.IndexFunc(s.wants, func(w want) bool { return w.name == name }); at >= 0 {
			return s.wants[at].block
		}
	}
	return "network"
}
