package compose

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/required"
)

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// check returns an error if the host must not have the project.
func (p *Project) check(ctx context.Context, h modules.Host) error {
	by, err := observe.Replaceable(ctx, h, p.Directory)
	switch {
	case err != nil:
		return err
	case by != "":
		return &modules.FinalError{Err: fmt.Errorf("directory: %s could put something else at %s on %s: choose a directory that only root can replace, as in /srv/%s", by, p.Directory, h.Name(), p.name())}
	case p.OnProxmox:
		return nil
	}
	found, err := observe.Packages.Observe(ctx, h, proxmox)
	if err != nil {
		return err
	}
	if found.Installed() {
		return &modules.FinalError{Err: fmt.Errorf("%s is a host with Proxmox VE, where Docker's packet filter rules drop what guests send and what the cluster forwards: run the project in a guest, or set on_proxmox = true", h.Name())}
	}
	return nil
}

// observe returns the project as the host has it.
func (p *Project) observe(ctx context.Context, h modules.Host) (project, error) {
	found, err := projects.Observe(ctx, h, p.key())
	if err == nil && found.Elsewhere != "" {
		err = &modules.FinalError{Err: fmt.Errorf("name: %s already has a project %s in %s, whose containers would be replaced: give this one another name", h.Name(), p.name(), found.Elsewhere)}
	}
	return found, err
}

// lacking returns the error for a host without Docker or without Compose.
func (p *Project) lacking(ctx context.Context, h modules.Host, missing string) error {
	if err := required.Program(ctx, h, "docker", "the project "+p.name()); err != nil && observe.IsUnknown(err) {
		return err
	}
	return &modules.FinalError{Err: fmt.Errorf("%s has no %s: install docker.io, docker-cli and docker-compose in a task before this one (Debian 13), or docker-ce and docker-compose-plugin from Docker's own repository (Debian 12, whose docker-compose is version 1)", h.Name(), missing)}
}

func (p *Project) present(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := p.check(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	want, err := parse(p.Files[p.main()]) // Validate has checked it
	if err != nil {
		return modules.Plan{}, err
	}
	is, err := p.observe(ctx, h)
	switch {
	case err != nil:
		return modules.Plan{}, err
	case is.Missing != "":
		return modules.Plan{}, p.lacking(ctx, h, is.Missing)
	}
	steps, written, changed, err := p.place(ctx, h)
	switch {
	case err != nil:
		return modules.Plan{}, err
	case len(changed) == 0 && is.Refused != "":
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("docker compose refuses %s on %s: %s", p.at(p.main()), h.Name(), is.Refused)}
	}
	before, _, err := observe.Text(ctx, h, p.at(p.main()))
	if err != nil {
		return modules.Plan{}, err
	}
	was, err := parse(before)
	if err != nil { // there is no such file, or the module did not write it
		was = file{}
	}
	d := p.differences(is, want, was)
	stale, err := p.stale(ctx, h, is, want)
	if err != nil {
		return modules.Plan{}, err
	}
	unfinished, err := observe.Files.Observe(ctx, h, p.at(dueFile))
	if err != nil {
		return modules.Plan{}, err
	}
	due := false // whether Compose has changes to apply that the containers do not show, such as changes of networks
	for _, name := range changed {
		seen, read := false, name == p.main() || name == ".env"
		for _, service := range sorted(want.services) {
			s := want.services[service]
			if s.reads(p.Directory, p.at(name)) {
				read = true // Compose replaces it
				continue
			}
			if !s.sees(p.Directory, p.at(name)) {
				continue
			}
			seen = true
			// A service whose description has changed is replaced anyway. A stopped service that only a profile starts stays stopped.
			if now, there := is.Services[service]; there && !(s.optional && now.Stopped) && s.same(was.services[service]) {
				stale[service] = true
			}
		}
		if read || !seen {
			due = due || !d.up
		}
	}
	if due {
		mark, err := conffile.Write(ctx, h, p.at(dueFile), "", "note that the project "+p.name()+" has changes to apply")
		if err != nil {
			return modules.Plan{}, err
		}
		if len(mark) > 0 { // the steps above create its directory
			steps = append(steps, mark[len(mark)-1])
		}
	}
	d.up = d.up || due || unfinished.Exists()
	steps = append(steps, written...)
	after := project{Services: map[string]containers{}}
	for name, s := range want.services {
		if s.none {
			continue
		}
		if !s.optional {
			after.Services[name] = containers{Current: true}
			if s.once {
				after.Services[name] = ended
			}
		} else if now, there := is.Services[name]; there {
			after.Services[name] = now
		}
	}
	step := func(summary string, run modules.Run) modules.Step {
		run.Limit = max(p.Timeout, time.Minute) + time.Minute
		run.Explain = p.explain
		return modules.Step{
			Summary: summary, Action: run, Risk: modules.Restarts, Expect: []observe.Expectation{projects.Expect(p.key(), after)},
			Settle: p.Timeout, Await: "the containers of " + p.name() + " to run", Unmet: d.unmet(),
		}
	}
	if d.up {
		pull, err := p.pull(ctx, h, want)
		if err != nil {
			return modules.Plan{}, err
		}
		steps = append(steps, pull...)
		steps = append(steps, step(d.summary(p.name()), modules.Run{Argv: p.compose("up", "--detach", "--remove-orphans", "--quiet-pull")}))
		if due || unfinished.Exists() {
			steps = append(steps, modules.Step{
				Summary: "remove that note",
				Action:  modules.Remove{Path: p.at(dueFile), Lossless: true},
				Expect:  observe.Placed(h, p.at(dueFile), observe.File{}),
			})
		}
	}
	if services := sorted(stale); len(services) > 0 {
		steps = append(steps, step("restart "+strings.Join(services, ", ")+" of "+p.name()+", whose files have changed", modules.Run{Argv: p.compose(append([]string{"restart"}, services...)...)}))
	}
	if len(steps) == 0 && len(d.problems) > 0 {
		wait := step("wait until the containers of "+p.name()+" run", modules.Run{})
		wait.Action, wait.Refresh, wait.Risk = modules.Wait{}, true, modules.Harmless
		steps = append(steps, wait)
	}
	// After compose up, the task is planned again, to restart services that Compose did not replace.
	return modules.Plan{Steps: steps, Partial: d.up && len(changed) > 0}, nil
}

// dueFile marks a project with changes that only Compose can see. It is written before such a change and removed once
// Compose has applied it, so that the next run completes an interrupted one.
const dueFile = ".compose-due"

// place plans the directories and the files, and returns the names of the files that change.
func (p *Project) place(ctx context.Context, h modules.Host) (steps, written []modules.Step, changed []string, err error) {
	directories := map[string]bool{p.Directory: true}
	for name := range p.Files {
		for dir := path.Dir(p.at(name)); dir != p.Directory; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	made := map[string]bool{}
	for _, dir := range sorted(directories) {
		now, err := observe.Files.Observe(ctx, h, dir)
		if err != nil {
			return nil, nil, nil, err
		}
		after := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
		if dir == p.Directory {
			after.Mode = 0o700
		}
		switch {
		case !now.Exists():
			made[dir] = true
			steps = append(steps, modules.Step{
				Summary: "create directory " + dir,
				Action:  modules.MakeDir{Path: dir, Mode: after.Mode, Owner: after.Owner, Group: after.Group},
				Expect:  observe.Placed(h, dir, after),
			})
		case now.Type != observe.Directory:
			return nil, nil, nil, fmt.Errorf("%s on %s is a %s: expected a directory", dir, h.Name(), now.Type)
		case dir == p.Directory && (now.Mode != after.Mode || now.Owner != after.Owner || now.Group != after.Group):
			// A directory with other users, such as /etc/ssh, must not be closed to them.
			if main, err := observe.Files.Observe(ctx, h, p.at(p.main())); err != nil {
				return nil, nil, nil, err
			} else if !main.Exists() {
				return nil, nil, nil, &modules.FinalError{Err: fmt.Errorf("directory: %s on %s already exists (%04o %s:%s), without %s: choose a separate directory for the project, or make this one accessible to root only (0700) in an earlier task", dir, h.Name(), now.Mode, now.Owner, now.Group, p.main())}
			}
			steps = append(steps, modules.Step{
				Summary: fmt.Sprintf("let only root into %s", dir),
				Action:  modules.SetAttributes{Path: dir, Mode: &after.Mode, Owner: after.Owner, Group: after.Group},
				Diff:    &modules.Diff{Subject: dir, Before: fmt.Sprintf("%04o %s:%s", now.Mode, now.Owner, now.Group), After: "0700 root:root"},
				Expect:  []observe.Expectation{observe.Files.Expect(dir, after)},
			})
		}
	}
	for _, name := range sorted(p.Files) {
		at := p.at(name)
		if now, err := observe.Files.Observe(ctx, h, at); err != nil {
			return nil, nil, nil, err
		} else if now.Type == observe.Symlink {
			return nil, nil, nil, fmt.Errorf("%s on %s is a symbolic link to %s: expected a file; remove the link", at, h.Name(), now.Target)
		}
		write, err := conffile.Write(ctx, h, at, p.Files[name], "write "+at)
		if err != nil {
			return nil, nil, nil, err
		}
		if len(write) == 0 {
			continue
		}
		changed = append(changed, name)
		// The steps above create its directory.
		written = append(written, write[len(write)-1])
	}
	return steps, written, changed, nil
}

// ended is the state of a service that has run to completion as expected.
var ended = containers{Current: true, End: true, Stopped: true, Problem: "is exited (exit code 0)"}

// differences describes how the containers differ from the file.
type differences struct {
	// up is set if Compose has to create, replace, start or remove containers.
	up bool
	// create lists the services to create or start, replace those whose description has changed, and orphans those that are no
	// longer in the file or are scaled to 0.
	create, replace, orphans []string
	// problems says what is wrong with containers that are running, or should be.
	problems []string
}

// differences compares the containers with the desired file; was is the file that is on the host now.
func (p *Project) differences(is project, want, was file) differences {
	var d differences
	for _, name := range sorted(want.services) {
		s := want.services[name]
		now, there := is.Services[name]
		switch {
		case s.optional:
		case s.none:
			if there {
				d.orphans = append(d.orphans, name)
			}
		case !there, now.Stopped && !(s.once && now.End):
			d.create = append(d.create, name)
		case !now.Current || !s.same(was.services[name]):
			d.replace = append(d.replace, name)
		}
		if there && now.Problem != "" && !(s.once && now.End) && !s.optional && !s.none {
			d.problems = append(d.problems, name+" "+now.Problem)
		}
	}
	for _, name := range sorted(is.Services) {
		if _, known := want.services[name]; !known {
			d.orphans = append(d.orphans, name)
		}
	}
	d.up = len(d.create)+len(d.replace)+len(d.orphans) > 0
	return d
}

func (d differences) summary(project string) string {
	var parts []string
	for _, part := range []struct {
		does string
		to   []string
	}{{"start ", d.create}, {"replace ", d.replace}, {"remove ", d.orphans}} {
		if len(part.to) > 0 {
			parts = append(parts, part.does+strings.Join(part.to, ", "))
		}
	}
	if len(parts) == 0 {
		return "bring the containers of " + project + " up to date"
	}
	return strings.Join(parts, "; ") + " (project " + project + ")"
}

// unmet says what is still wrong if the containers do not become healthy in time.
func (d differences) unmet() string {
	if len(d.problems) == 0 {
		return ""
	}
	return strings.Join(d.problems, "; ") + "; see docker compose logs"
}

// stale returns the running services that mount a file which has changed since they were started.
func (p *Project) stale(ctx context.Context, h modules.Host, is project, want file) (map[string]bool, error) {
	all := map[string]bool{}
	for name := range p.Files {
		at := p.at(name)
		f, err := observe.Files.Observe(ctx, h, at)
		if err != nil {
			return nil, err
		}
		changed, ok := changeTime(f.Stamp)
		for service, now := range is.Services {
			if ok && !now.Stopped && !now.Started.IsZero() && changed.After(now.Started) && want.services[service].sees(p.Directory, at) {
				all[service] = true
			}
		}
	}
	return all, nil
}

// changeTime returns the time in the stamp of a file; a file that is only predicted has none.
func changeTime(stamp string) (time.Time, bool) {
	_, at, ok := strings.Cut(stamp, ":")
	seconds, rest, _ := strings.Cut(at, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	nano, fraction := strconv.ParseInt((rest + "000000000")[:9], 10, 64)
	return time.Unix(s, nano), ok && err == nil && fraction == nil
}

// pull plans to fetch the images that the host lacks.
func (p *Project) pull(ctx context.Context, h modules.Host, want file) ([]modules.Step, error) {
	var lacking []string
	services := map[string]bool{}
	refs := map[string]bool{}
	for _, s := range want.services {
		if !s.optional {
			refs[s.image] = true
		}
	}
	have, err := images.ObserveAll(ctx, h, sorted(refs))
	if err != nil {
		return nil, err
	}
	for name, s := range want.services {
		if !s.optional && !have[s.image] {
			services[name] = true
			if !slices.Contains(lacking, s.image) {
				lacking = append(lacking, s.image)
			}
		}
	}
	if len(lacking) == 0 {
		return nil, nil
	}
	slices.Sort(lacking)
	step := modules.Step{
		Summary: "pull " + strings.Join(lacking, ", "),
		Action:  modules.Run{Argv: p.compose(append([]string{"pull", "--quiet"}, sorted(services)...)...), Limit: 30 * time.Minute, Long: true, Explain: p.explain},
		Exact:   true,
	}
	for _, ref := range lacking {
		step.Expect = append(step.Expect, images.Expect(ref, true))
	}
	return []modules.Step{step}, nil
}

// explain returns the last line that Compose printed: its progress comes first, and the error last.
func (p *Project) explain(exit int, _, stderr []byte) error {
	said := ""
	for line := range strings.Lines(string(stderr)) {
		if line = strings.TrimSpace(line); line != "" {
			said = line
		}
	}
	if said == "" {
		return nil
	}
	return fmt.Errorf("docker compose: %s (exit code %d)", said, exit)
}

func (p *Project) absent(ctx context.Context, h modules.Host) (modules.Plan, error) {
	is, err := p.observe(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	var steps []modules.Step
	if services := sorted(is.Services); len(services) > 0 {
		steps = append(steps, modules.Step{
			Summary: "remove " + strings.Join(services, ", ") + " (project " + p.name() + ")",
			Action:  modules.Run{Argv: p.compose("down", "--remove-orphans"), Limit: p.Timeout + time.Minute, Explain: p.explain},
			Risk:    modules.Restarts,
			Expect:  []observe.Expectation{projects.Expect(p.key(), project{Services: map[string]containers{}})},
		})
	}
	for _, name := range append(sorted(p.Files), dueFile) {
		remove, err := conffile.Remove(ctx, h, p.at(name), "remove "+p.at(name))
		if err != nil {
			return modules.Plan{}, err
		}
		steps = append(steps, remove...)
	}
	return modules.Plan{Steps: steps}, nil
}
