// Package git implements the module that checks out a revision of a git repository.
package git

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"hlplay/engine/gitrepo"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "git",
	Aliases: []string{"checkout", "clone", "repository"},
	Summary: "A checkout of a git repository at a revision",
	Doc: `The host itself fetches from the repository. A branch is followed: each run moves the checkout to the branch's newest commit. A tag
or a commit does not move, and a full commit id needs no network access once it is checked out. HEAD is detached, because
the checkout is for use, not for development.

Local changes are never lost by accident. If a file that git tracks was changed, or a commit was made that is on no branch, the task fails and names
it. With ` + "`force = true`" + ` changed files are overwritten, which ` + "`--allow=destroy`" + ` must permit. Untracked files are kept:
if the revision has a file of the same name, the task fails. Submodules are not fetched, and hooks are not run.

Git acts as the task's user, and the checkout belongs to it. Git runs programs that a repository's configuration names, so a
path where another user could put a repository is refused: name the user with ` + "`become_user`" + `, and make the directory with ` + "`file`" + `. Credentials
come from the configuration of that user (an SSH key, a credential helper); a URL that may hold one is refused. An unencrypted URL (http, git) needs
a full commit id as the revision, because only that shows that nobody modified it in transit.

Simulated nodes have no git: in a rehearsal the task fails.`,
	Example: `task "the directory of the site" {
  file {
    path  = "/srv/site"
    state = "directory"
    owner = "www-data"
  }
}

task "the site" {
  become_user = "www-data"
  git {
    url      = "https://example.org/site.git"
    path     = "/srv/site"
    revision = "v1.4"
  }
  register = "site"
}`,
	Result: result{},
	New:    func() modules.Module { return &git{} },
}

// result is what the module registers.
type result struct {
	Path   string `cty:"path" doc:"Path of the checkout."`
	Commit string `cty:"commit" doc:"Full id of the commit that is checked out."`
}

// git holds the module's arguments.
type git struct {
	URL      string `hcl:"url" doc:"Repository: https://…, ssh://…, user@host:path, or the absolute path of one on the host."`
	Path     string `hcl:"path" doc:"Absolute path of the checkout. Its parent directory must exist."`
	Revision string `hcl:"revision" doc:"What to check out: a branch, a tag, a full commit id (40 digits), or HEAD for the repository's default branch."`
	Force    bool   `hcl:"force,optional" doc:"Discard changes to tracked files, and commits that are on no branch."`
}

// Validate implements modules.Validator.
func (g *git) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	var wrong *gitrepo.Fault
	switch {
	case errors.As(gitrepo.CheckAddress(g.URL), &wrong):
		return fault("url", wrong.Problem, wrong.Want)
	case !path.IsAbs(g.Path) || path.Clean(g.Path) != g.Path || strings.ContainsAny(g.Path, "\x00\r\n") || path.Dir(g.Path) == "/":
		return fault("path", fmt.Sprintf("%q is not the absolute path of a directory below another", g.Path), "expected a path such as /srv/site")
	case observe.IsSystemDirectory(g.Path):
		return fault("path", g.Path+" is part of the system", "name a directory for this checkout only, such as /srv/site")
	case errors.As(gitrepo.CheckRevision(g.URL, g.Revision), &wrong):
		return fault("revision", wrong.Problem, wrong.Want)
	}
	return nil
}

// Want implements modules.Announcer.
func (g *git) Want(h modules.Host) {
	observe.Programs.Want(h, "git")
	if g.Path != "" {
		observe.WantReplaceable(h, g.inside())
		observe.Files.Want(h, g.config())
		observe.Files.Want(h, g.common())
	}
}

// inside returns the path of the repository in the checkout. A user who could replace it could make git run any program.
func (g *git) inside() string { return path.Join(g.Path, ".git") }

// config returns the path of the repository's configuration, which names programs that git runs, such as filters.
func (g *git) config() string { return path.Join(g.inside(), "config") }

// common returns the path of the file that makes git read the configuration of another repository (gitrepository-layout(5)). Only
// linked worktrees have it, whose .git is a file.
func (g *git) common() string { return path.Join(g.inside(), "commondir") }

// Plan implements modules.Module.
func (g *git) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	g.Want(h)
	if err := required.Program(ctx, h, "git", "the checkout"); err != nil {
		return modules.Plan{}, err
	}
	actor, group, err := required.Actor(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	place, repository, err := g.settled(ctx, h, actor)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := g.private(ctx, h, actor, group, place, repository); err != nil {
		return modules.Plan{}, err
	}
	var now state
	if repository.Exists() {
		if now, err = g.read(ctx, h); err != nil {
			return modules.Plan{}, err
		}
	}
	commit, err := g.commit(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Data: modules.Data(result{Path: g.Path, Commit: commit})}
	lost := now.lost()
	if lost != "" && !g.Force {
		return plan, fmt.Errorf("%s on %s has %s, which would be lost: save that first, or discard it with force = true", g.Path, h.Name(), lost)
	}
	if now.head == commit && now.url == g.URL && lost == "" && !now.interrupted {
		return plan, nil
	}
	how := ""
	switch {
	case now.interrupted:
		how = "again"
	case lost != "":
		how = "over"
	}
	step := modules.Step{
		Summary: fmt.Sprintf("check out %s at %s (%s) from %s", g.Path, g.Revision, commit[:12], g.URL),
		Action: modules.Run{
			Argv: []string{"sh", "-c", checkoutScript, "sh", g.Path, g.URL, commit, how},
			Env:  gitrepo.Environment(), Limit: limit, Explain: g.explain,
		},
		Unmet:  "a branch may have moved meanwhile, or another program may be changing the checkout: run again",
		Expect: g.expect(ctx, h, place, repository, observe.File{Type: observe.Directory, Mode: 0o755, Owner: actor, Group: group}, commit),
		Exact:  true,
	}
	if gitrepo.IsCommit(g.Revision) {
		step.Summary = fmt.Sprintf("check out %s at %s from %s", g.Path, commit[:12], g.URL)
	}
	if now.head != "" && now.head != commit {
		step.Diff = &modules.Diff{Subject: "commit of " + g.Path, Before: now.head, After: commit}
	}
	if lost != "" {
		step.Summary += ", discarding " + lost
		step.Risk = modules.Destroys
	}
	plan.Steps = []modules.Step{step}
	return plan, nil
}

const limit = time.Hour

//go:embed read.sh
var readScript string

//go:embed checkout.sh
var checkoutScript string

// settled returns what is at the path, and the repository in it, if any. It rejects anything but a checkout or an empty
// directory, and a path at which someone other than the actor could put a repository.
func (g *git) settled(ctx context.Context, h modules.Host, actor string) (place, repository observe.File, err error) {
	refuse := func(format string, args ...any) (observe.File, observe.File, error) {
		return observe.File{}, observe.File{}, fmt.Errorf(format, args...)
	}
	parent := path.Dir(g.Path)
	_, above, err := observe.Follow(ctx, h, parent)
	if err != nil {
		return place, repository, err
	}
	if above.Type != observe.Directory {
		return refuse("%s has no directory %s: create it in an earlier task, with file { state = \"directory\" }", h.Name(), parent)
	}
	if place, err = observe.Files.Observe(ctx, h, g.Path); err != nil {
		return place, repository, err
	}
	if place.Exists() && place.Type != observe.Directory {
		return refuse("%s is a %s on %s, expected the directory of the checkout: remove it, or name another path", g.Path, place.Type, h.Name())
	}
	by, err := observe.Replaceable(ctx, h, g.inside())
	switch {
	case err != nil:
		return place, repository, err
	case !place.Exists() && by == "":
		if everyone := above.Mode&0o002 != 0; !everyone && actor != "root" && actor != above.Owner {
			return refuse("%s is not allowed to create %s on %s: create the directory in an earlier task, with file { state = \"directory\", owner = %q }", actor, g.Path, h.Name(), actor)
		}
		return place, repository, nil
	case place.Exists() && place.Owner != actor:
		return refuse("%s belongs to %s on %s, but the task runs as %s: set become_user = %q, or make %s its owner with file", g.Path, place.Owner, h.Name(), actor, place.Owner, actor)
	case by != "" && by != actor:
		return refuse("%s can replace %s on %s, and so make %s run any program: set become_user to the user that the checkout is for, or name a path that only %s can change",
			by, g.Path, h.Name(), actor, actor)
	case !place.Exists():
		return place, repository, nil
	}
	repository, err = observe.Files.Observe(ctx, h, g.inside())
	switch {
	case err != nil || repository.Type == observe.Directory:
		return place, repository, err
	case repository.Exists():
		return refuse("%s is a %s on %s: a checkout whose repository is elsewhere is not touched", g.inside(), repository.Type, h.Name())
	}
	listing, err := observe.Dirs.Observe(ctx, h, g.Path)
	if err == nil && len(listing.Entries) > 0 {
		return refuse("%s exists on %s, is not empty and is not a checkout (it has no .git): name another directory, or remove this one", g.Path, h.Name())
	}
	return place, repository, err
}

// private returns an error if anyone but the actor could change the configuration of the repository: git checks the owner of a
// repository, but not who else may write to it. The actor's own group may write to all of it, as with a umask of 002.
func (g *git) private(ctx context.Context, h modules.Host, actor, group string, place, repository observe.File) error {
	if !repository.Exists() {
		return nil
	}
	config, err := observe.Files.Observe(ctx, h, g.config())
	if err != nil && !observe.IsUnknown(err) { // an earlier step creates it
		return err
	}
	common, err := observe.Files.Observe(ctx, h, g.common())
	if err != nil && !observe.IsUnknown(err) {
		return err
	}
	for _, part := range []struct {
		name string
		is   observe.File
	}{{g.Path, place}, {g.inside(), repository}, {g.config(), config}} {
		by := ""
		switch f := part.is; {
		case !f.Exists() || f.Type == observe.Symlink:
		case f.Owner != actor && f.Owner != "root":
			by = f.Owner
		case part.name == g.Path && f.Mode&0o1000 != 0: // with the sticky bit, others can add entries, but not replace .git
		case f.Mode&0o002 != 0:
			by = "every user"
		case f.Mode&0o020 != 0 && f.Group != group && f.Group != "root":
			by = "the group " + f.Group
		}
		if by != "" {
			return fmt.Errorf("%s can write to %s on %s, and so make %s run any program: let only %s write to it (chmod -R go-w), or set become_user to the user that the checkout is for",
				by, part.name, h.Name(), actor, actor)
		}
	}
	if common.Exists() {
		return fmt.Errorf("%s exists on %s: a repository whose configuration is elsewhere is not touched", g.common(), h.Name())
	}
	if config.Type == observe.Symlink {
		return fmt.Errorf("%s on %s is a symbolic link: a repository whose configuration is elsewhere is not touched", g.config(), h.Name())
	}
	return nil
}

// state is the state of a checkout. The zero value is that of a path without a repository.
type state struct {
	url, head string
	// kept is set if head belongs to a branch, to a tag, or to hlplay's last checkout.
	kept bool
	// interrupted is set if a checkout by hlplay was interrupted, which leaves partial files behind.
	interrupted bool
	// changed lists tracked files that differ from head, at most 20.
	changed []string
}

// lost says what a checkout of another commit would lose; it is empty if that is nothing.
func (s state) lost() string {
	switch {
	case s.interrupted:
	case len(s.changed) > 0:
		return "local changes in " + strings.Join(s.changed[:min(3, len(s.changed))], ", ") + map[bool]string{true: " and more"}[len(s.changed) > 3]
	case s.head != "" && !s.kept:
		return "commit " + s.head[:min(12, len(s.head))] + ", which is on no branch"
	}
	return ""
}

func (g *git) reading(ctx context.Context) observe.Reading {
	return observe.Reading{Argv: []string{"sh", "-c", readScript, "sh", g.Path}, User: observe.ActingUser(ctx), Env: observe.ActingEnvironment(ctx, gitrepo.Environment())}
}

func (g *git) read(ctx context.Context, h modules.Host) (state, error) {
	answer, err := g.reading(ctx).Observe(ctx, h)
	if err != nil {
		return state{}, err
	}
	if answer.Exit != 0 {
		said, _, _ := strings.Cut(strings.TrimSpace(string(answer.Stderr)), "\n") // git's advice follows, which may be to trust any owner
		return state{}, fmt.Errorf("git cannot read the checkout %s on %s: %s; make the acting user its owner, or remove it so that it is created again", g.Path, h.Name(), cmp.Or(said, remote.Ending(answer.Exit)))
	}
	return parseState(string(answer.Stdout)), nil
}

func parseState(text string) state {
	var s state
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "url":
			s.url = rest
		case "head":
			s.head = rest
		case "kept":
			s.kept = true
		case "interrupted":
			s.interrupted = true
		case "changed":
			s.changed = append(s.changed, rest)
		}
	}
	return s
}

// commit returns the commit that the revision refers to.
func (g *git) commit(ctx context.Context, h modules.Host) (string, error) {
	if gitrepo.IsCommit(g.Revision) {
		return g.Revision, nil
	}
	ask := observe.Reading{
		Argv: append([]string{"env", "-u", "GIT_DIR", "git", "ls-remote", "--quiet", "--", g.URL}, gitrepo.Refs(g.Revision)...),
		User: observe.ActingUser(ctx), Env: observe.ActingEnvironment(ctx, gitrepo.Environment()), Limit: 2 * time.Minute,
	}
	answer, err := ask.Observe(ctx, h)
	if err != nil {
		return "", err
	}
	if answer.Exit != 0 {
		failed := fmt.Errorf("%s cannot read %s: %w", h.Name(), g.URL, g.explain(answer.Exit, answer.Stdout, answer.Stderr))
		// An earlier change may bring keys, credentials or host names.
		if key := ask.Key(); h.Predicted(observe.AuthorCommands.Key(key)) {
			if _, err := observe.AuthorCommands.Observe(ctx, h, key); err != nil {
				return "", fmt.Errorf("%w; now: %w", err, failed)
			}
		}
		return "", failed
	}
	return gitrepo.Commit(g.URL, g.Revision, string(answer.Stdout))
}

// expect returns what will be observed of the checkout; fresh is a directory that git creates.
func (g *git) expect(ctx context.Context, h modules.Host, place, repository, fresh observe.File, commit string) []observe.Expectation {
	below, coming := g.Path+"/", "what the commit holds shows when it is checked out"
	var expect []observe.Expectation
	if !place.Exists() {
		place = fresh
		expect = observe.Placed(h, g.Path, fresh)
	}
	if !repository.Exists() {
		repository = fresh
	}
	answer := remote.Answer{Stdout: fmt.Appendf(nil, "url %s\nhead %s\nkept\n", g.URL, commit)}
	return append(expect, observe.Files.Expect(g.Path, place), observe.Dirs.Unknown(g.Path, coming),
		observe.Expectation{Match: func(k observe.Key) bool { return strings.HasPrefix(k.Name, below) }, Unknown: coming},
		observe.Files.Expect(g.inside(), repository),
		observe.Commands.Expect(g.reading(ctx).Key(), answer))
}

// explain translates git's error.
func (g *git) explain(exit int, _, stderr []byte) error {
	said := strings.TrimSpace(string(stderr))
	switch {
	case exit == 65:
		return fmt.Errorf("%s has no commit %s, or does not serve it because it is not on any branch: %s", g.URL, g.Revision, observe.LastLine(stderr))
	case strings.Contains(said, "could not read Username"), strings.Contains(said, "Permission denied ("): // said by an SSH server
		return fmt.Errorf("the acting user is not allowed to read %s: set up an SSH key or a credential helper for it: %s", g.URL, observe.LastLine(stderr))
	case strings.Contains(said, "Host key verification failed"):
		return errors.New("the SSH key of the repository's host is unknown to the acting user: add it to /etc/ssh/ssh_known_hosts in an earlier task, with file")
	case strings.Contains(said, "untracked working tree files would be overwritten"):
		return errors.New("untracked files in the checkout are in the way of the revision's: move or remove them, because force does not overwrite them:\n" + said)
	case said == "":
		return fmt.Errorf("git failed with exit code %d and no message", exit)
	}
	return errors.New(said)
}
