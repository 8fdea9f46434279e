package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// thisMachine answers queries by running them on the machine of the test.
type thisMachine struct{ t *testing.T }

func (m thisMachine) Ask(_ context.Context, queries []remote.Query) ([]remote.Answer, error) {
	return modulestest.Answers(m.t, queries), nil
}

// fixture is a repository with two commits, and the path of a checkout of it.
type fixture struct {
	t         *testing.T
	origin    string
	checkout  string
	old, last string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{
		"HOME": dir, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
		"GIT_COMMITTER_NAME": "ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
	} {
		t.Setenv(name, value)
	}
	s := &fixture{t: t, origin: filepath.Join(dir, "origin"), checkout: filepath.Join(dir, "site")}
	s.git("init", "--quiet", "-b", "main", s.origin)
	s.old = s.commit(s.origin, "page", "one\n")
	s.git("-C", s.origin, "tag", "-a", "-m", "the first", "v1")
	s.last = s.commit(s.origin, "page", "two\n")
	return s
}

func (s *fixture) git(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("git", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *fixture) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fixture) commit(repository, name, content string) string {
	s.t.Helper()
	s.write(filepath.Join(repository, name), content)
	s.git("-C", repository, "add", name)
	s.git("-C", repository, "commit", "--quiet", "-m", name)
	return s.git("-C", repository, "rev-parse", "HEAD")
}

// page returns the content of the file in the checkout.
func (s *fixture) page() string {
	text, err := os.ReadFile(filepath.Join(s.checkout, "page"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// host returns this machine as a host on which nobody else can replace the directories above the checkout.
func (s *fixture) host() modules.Host {
	h := observe.NewHost(s.t.Context(), "n1", "127.0.0.1", func(context.Context) (observe.Asker, error) { return thisMachine{s.t}, nil })
	for at := filepath.Dir(s.checkout); ; at = filepath.Dir(at) {
		h.Predict([]observe.Expectation{observe.Files.Expect(at, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root"})})
		if at == "/" {
			return h
		}
	}
}

func (s *fixture) module(revision string) *git {
	return modulestest.Decoded(&git{URL: s.origin, Path: s.checkout, Revision: revision})
}

// run plans, checks that check mode's prediction converges, carries out the steps, and checks that planning again finds
// nothing to do. It returns the first plan, or the error of planning or of a step.
func (s *fixture) run(g *git) (modules.Plan, error) {
	s.t.Helper()
	before, after := s.host(), s.host()
	plan, err := g.Plan(s.t.Context(), before)
	if err != nil {
		return plan, err
	}
	modulestest.Converges(s.t, g, before)
	for _, step := range plan.Steps {
		run := step.Action.(modules.Run)
		cmd := exec.Command(run.Argv[0], run.Argv[1:]...)
		cmd.Env = os.Environ()
		for name, value := range run.Env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return plan, run.Explain(cmd.ProcessState.ExitCode(), []byte(stdout.String()), []byte(stderr.String()))
		}
		if out := stdout.String() + stderr.String(); out != "" {
			s.t.Errorf("git printed %q", out)
		}
		for _, u := range after.Fulfil(s.t.Context(), step.Expect) {
			s.t.Error(u)
		}
	}
	again, err := g.Plan(s.t.Context(), after)
	if err != nil || len(again.Steps) > 0 {
		s.t.Errorf("after the steps there is left (%v):\n%s", err, modulestest.Summaries(again))
	}
	return plan, nil
}

func (s *fixture) ran(g *git, page string) {
	s.t.Helper()
	plan, err := s.run(g)
	if err != nil || len(plan.Steps) != 1 || s.page() != page {
		s.t.Errorf("%s: %v; the page is %q, expected %q; the plan was:\n%s", g.Revision, err, s.page(), page, modulestest.Summaries(plan))
	}
}

// refused runs a task that must fail and leave the page unchanged.
func (s *fixture) refused(g *git, want string) {
	s.t.Helper()
	before := s.page()
	plan, err := s.run(g)
	if err == nil || !strings.Contains(err.Error(), want) {
		s.t.Errorf("the error is %v, expected one with %q; the plan was:\n%s", err, want, modulestest.Summaries(plan))
	}
	if s.page() != before {
		s.t.Errorf("the page is %q, and was %q", s.page(), before)
	}
}

func TestCheckout(t *testing.T) {
	s := newFixture(t)
	s.ran(s.module("v1"), "one\n")
	s.ran(s.module("main"), "two\n")
	s.ran(s.module(s.old), "one\n")

	// A commit that is already there needs no network access.
	if err := os.Rename(s.origin, s.origin+".away"); err != nil {
		t.Fatal(err)
	}
	if plan, err := s.module(s.old).Plan(t.Context(), s.host()); err != nil || len(plan.Steps) > 0 {
		t.Errorf("without the network: %v\n%s", err, modulestest.Summaries(plan))
	}
	s.refused(s.module("main"), "n1 cannot read "+s.origin)
	if err := os.Rename(s.origin+".away", s.origin); err != nil {
		t.Fatal(err)
	}

	// A branch is followed even after a forced push, and so is a tag that has moved.
	s.ran(s.module("HEAD"), "two\n")
	s.git("-C", s.origin, "reset", "--quiet", "--hard", s.old)
	s.commit(s.origin, "page", "three\n")
	s.ran(s.module("main"), "three\n")
	s.git("-C", s.origin, "tag", "-f", "v1")
	s.commit(s.origin, "page", "four\n")
	s.ran(s.module("main"), "four\n")
	s.ran(s.module("v1"), "three\n")

	// A branch that no longer exists does not get in the way of one whose name begins with its name.
	s.git("-C", s.origin, "branch", "next")
	s.commit(s.origin, "page", "five\n")
	s.ran(s.module("main"), "five\n")
	s.git("-C", s.origin, "branch", "-D", "next")
	s.git("-C", s.origin, "branch", "next/one")
	s.commit(s.origin, "page", "six\n")
	s.ran(s.module("main"), "six\n")

	s.refused(s.module("none"), "has neither a branch nor a tag none")
	s.refused(s.module(strings.Repeat("0", 40)), "has no commit 0000")
	s.git("-C", s.origin, "branch", "v1")
	s.refused(s.module("v1"), "has both a branch and a tag v1")
}

func TestNothingIsLost(t *testing.T) {
	s := newFixture(t)
	force := func(revision string) *git {
		g := s.module(revision)
		g.Force = true
		return g
	}
	page := filepath.Join(s.checkout, "page")
	s.ran(s.module("v1"), "one\n")

	s.write(page, "mine\n")
	s.refused(s.module("v1"), "has local changes in page, which would be lost: save that first, or discard it with force = true")
	s.refused(s.module("main"), "has local changes in page")
	plan, err := s.run(force("v1"))
	if err != nil || s.page() != "one\n" || plan.Steps[0].Risk != modules.Destroys {
		t.Errorf("with force: %v, the page is %q:\n%s", err, s.page(), modulestest.Summaries(plan))
	}

	s.commit(s.checkout, "page", "mine\n")
	s.refused(s.module("v1"), "which is on no branch")
	s.ran(force("main"), "two\n")

	// Untracked files are kept, and conflict with a revision that contains them.
	s.write(filepath.Join(s.checkout, "notes"), "mine\n")
	s.ran(s.module("v1"), "one\n")
	s.commit(s.origin, "notes", "theirs\n")
	for _, g := range []*git{s.module("main"), s.module("main"), force("main")} {
		s.refused(g, "untracked files in the checkout are in the way of the revision's")
	}
	s.write(page, "mine\n")
	if _, err := s.run(force("main")); err == nil {
		t.Error("with changes to give up, it overwrites a file that git does not track")
	}
	notes, err := os.ReadFile(filepath.Join(s.checkout, "notes"))
	if err != nil || string(notes) != "mine\n" {
		t.Errorf("the file that git does not track has %q, %v", notes, err)
	}
	if err := os.Remove(filepath.Join(s.checkout, "notes")); err != nil {
		t.Fatal(err)
	}
	s.ran(force("main"), "two\n")
}

// An interrupted checkout leaves files behind that are in no commit. They do not count as local changes.
func TestInterrupted(t *testing.T) {
	s := newFixture(t)
	s.git("init", "--quiet", s.checkout)
	s.git("-C", s.checkout, "fetch", "--quiet", s.origin, "main")
	s.git("-C", s.checkout, "update-ref", "refs/hlplay/coming", s.last)
	s.write(filepath.Join(s.checkout, "page"), "tw")
	s.ran(s.module("main"), "two\n")
}

// Neither hooks nor programs that a repository's configuration names are run.
func TestNoProgramIsRun(t *testing.T) {
	s := newFixture(t)
	s.ran(s.module("v1"), "one\n")
	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(s.checkout, ".git", "hooks", "post-checkout")
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\n: >'"+ran+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.git("-C", s.checkout, "config", "core.fsmonitor", program)
	s.ran(s.module("main"), "two\n")
	if _, err := os.Stat(ran); err == nil {
		t.Error("it was run")
	}
}

// git prints the error first; its last line may be the advice to trust any owner.
func TestUnreadable(t *testing.T) {
	s := newFixture(t)
	if err := os.MkdirAll(filepath.Join(s.checkout, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.refused(s.module("main"), "not a git repository (or any of the parent directories): .git; make the acting user its owner, or remove it so that it is created again")
	if err := os.RemoveAll(s.checkout); err != nil {
		t.Fatal(err)
	}
	s.ran(s.module("v1"), "one\n")
	s.write(filepath.Join(s.checkout, ".git", "HEAD"), "ref: refs/heads/torn\n")
	s.write(filepath.Join(s.checkout, ".git", "refs", "heads", "torn"), "e69de29b\n") // a truncated commit ID
	s.refused(s.module("main"), "git cannot read the checkout")
	h := observe.NewRecorded("n1")
	g := s.module("main")
	said := "fatal: detected dubious ownership in repository at '/srv/site'\nTo add an exception for this directory, call:\n\n\tgit config --global --add safe.directory /srv/site\n"
	h.Predict([]observe.Expectation{observe.Commands.Expect(g.reading(t.Context()).Key(), remote.Answer{Exit: 128, Stderr: []byte(said)})})
	if _, err := g.read(t.Context(), h); err == nil || !strings.Contains(err.Error(), "dubious ownership") || strings.Contains(err.Error(), "safe.directory") {
		t.Errorf("the error is %v", err)
	}
}

// What git fails to read of a checkout is not missing from it.
func TestUnreadableInPart(t *testing.T) {
	s := newFixture(t)
	s.ran(s.module("v1"), "one\n")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"config --get", "refs/hlplay/coming"} {
		dir := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *'%s'*) echo 'fatal: input/output error' >&2; exit 128 ;; esac\nexec %s \"$@\"\n", part, git)
		if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+filepath.Dir(git)+":/usr/bin:/bin")
		s.refused(s.module("v1"), "input/output error")
	}
}

// Check mode does not report a repository as unreadable if an earlier change, such as that of a key, may make it readable.
func TestBeforeAChange(t *testing.T) {
	s := newFixture(t)
	g := s.module("main")
	g.URL += ".none"
	h := s.host()
	if _, err := g.Plan(t.Context(), h); err == nil || observe.IsUnknown(err) {
		t.Errorf("the error is %v, expected a certain one", err)
	}
	h.Predict([]observe.Expectation{observe.AfterChange("create /etc/ssh/ssh_known_hosts")})
	if _, err := g.Plan(t.Context(), h); !observe.IsUnknown(err) || !strings.Contains(err.Error(), "does not appear to be a git repository") || !strings.Contains(err.Error(), "may depend on an earlier change") {
		t.Errorf("the error is %v, expected an uncertain one", err)
	}
}

// If hlplay is run by a git hook on its own machine, the environment names the hook's repository, which must not be taken
// for the checkout.
func TestRunByAHook(t *testing.T) {
	s := newFixture(t)
	other := filepath.Join(filepath.Dir(s.origin), "other")
	s.git("init", "--quiet", "-b", "main", other)
	s.commit(other, "theirs", "one\n")
	s.write(filepath.Join(other, "theirs"), "two\n")
	s.ran(s.module("v1"), "one\n")
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other, ".git", "index"))
	s.ran(s.module("main"), "two\n")
	os.Unsetenv("GIT_DIR")
	os.Unsetenv("GIT_INDEX_FILE")
	if changed := s.git("-C", other, "status", "--porcelain"); changed != "M theirs" {
		t.Errorf("the repository of the hook has %q", changed)
	}
}

// An SSH client that does not know the repository's host must not prompt on a terminal.
func TestSSHDoesNotAsk(t *testing.T) {
	s := newFixture(t)
	ssh := filepath.Join(t.TempDir(), "ssh")
	asks := `#!/bin/sh
if [ "$SSH_ASKPASS_REQUIRE" != force ] || "$SSH_ASKPASS" 'Are you sure you want to continue connecting (yes/no)?'; then
	echo 'it asks on the terminal' >&2
else
	echo 'Host key verification failed.' >&2
fi
exit 255
`
	if err := os.WriteFile(ssh, []byte(asks), 0o700); err != nil {
		t.Fatal(err)
	}
	s.git("config", "--global", "core.sshCommand", ssh)
	g := s.module("main")
	g.URL = "git@example.org:site.git"
	s.refused(g, "the SSH key of the repository's host is unknown to the acting user")
}

func TestWhatIsThere(t *testing.T) {
	s := newFixture(t)
	if err := os.Mkdir(s.checkout, 0o750); err != nil {
		t.Fatal(err)
	}
	s.ran(s.module("v1"), "one\n") // an empty directory is used, and keeps its mode
	s.git("-C", s.checkout, "config", "--add", "remote.origin.fetch", "+refs/notes/*:refs/notes/*")
	s.git("-C", s.checkout, "config", "--add", "remote.origin.url", "https://mirror.example.org/site.git")
	s.ran(s.module("main"), "two\n") // and so is a checkout that also fetches other refs
	if err := os.Rename(filepath.Join(s.checkout, ".git"), filepath.Join(s.checkout, "git")); err != nil {
		t.Fatal(err)
	}
	s.refused(s.module("v1"), "is not empty and is not a checkout")
	s.write(filepath.Join(s.checkout, ".git"), "gitdir: /srv/elsewhere\n")
	s.refused(s.module("v1"), "a checkout whose repository is elsewhere is not touched")
	if err := os.RemoveAll(s.checkout); err != nil {
		t.Fatal(err)
	}
	s.write(s.checkout, "")
	s.refused(s.module("v1"), "expected the directory of the checkout")
}

// git reads the configuration of the repository that commondir names, whoever may write there.
func TestCommonDirectory(t *testing.T) {
	s := newFixture(t)
	s.ran(s.module("v1"), "one\n")
	s.write(filepath.Join(s.checkout, ".git", "commondir"), filepath.Join(s.origin, ".git")+"\n")
	s.refused(s.module("main"), ".git/commondir exists on n1: a repository whose configuration is elsewhere is not touched")
}

// git neither reads nor writes where another user could replace what is there.
func TestPlacesOfOthers(t *testing.T) {
	dir := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	of := func(owner string) observe.File { f := dir; f.Owner = owner; return f }
	for _, test := range []struct {
		name, user, want string
		srv, site        observe.File
	}{
		{"another user's parent", "root", "ops can replace /srv/site on n1, and so make root run any program", of("ops"), observe.File{}},
		{"another user's checkout", "root", `/srv/site belongs to ops on n1, but the task runs as root: set become_user = "ops"`, dir, of("ops")},
		{"a third user's", "www", "ops can replace /srv/site", of("ops"), observe.File{}},
		{"root's parent", "www", `www is not allowed to create /srv/site on n1: create the directory in an earlier task, with file { state = "directory", owner = "www" }`, dir, observe.File{}},
		{"no parent", "root", "n1 has no directory /srv", observe.File{}, observe.File{}},
		{"a link", "root", "/srv/site is a symbolic link", dir, observe.File{Type: observe.Symlink, Mode: 0o777, Owner: "root", Target: "/home/ops"}},
	} {
		h := observe.NewRecorded("n1", observe.Programs.Expect("git", true), observe.Files.Expect("/", dir), observe.Files.Expect("/srv", test.srv),
			observe.Files.Expect("/srv/site", test.site), observe.Files.Expect("/srv/site/.git", observe.File{}), observe.Files.Expect("/home/ops", of("ops")), observe.Files.Expect("/home", dir),
			observe.Whoami.Expect("www", "www"), observe.Users.Expect("www", observe.User{Name: "www", UID: 33, Group: "www"}))
		plan, err := (&git{URL: "/srv/origin", Path: "/srv/site", Revision: "main"}).Plan(observe.WithUser(t.Context(), test.user), h)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, expected one with %q; the plan is:\n%s", test.name, err, test.want, modulestest.Summaries(plan))
		}
	}
	h := observe.NewRecorded("n1", observe.Programs.Expect("git", false))
	if _, err := (&git{}).Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "the checkout needs git") {
		t.Errorf("without git: %v", err)
	}
}

func TestFaultsInArguments(t *testing.T) {
	good := git{URL: "https://example.org/site.git", Path: "/srv/site", Revision: "main"}
	commit := strings.Repeat("a1", 20)
	for argument, faults := range map[string][]git{
		"url": {{URL: "site"}, {URL: "ext::sh -c id"}, {URL: "--upload-pack=id"}, {URL: "-oProxyCommand=id@example.org:x"}, {URL: "file:///srv/x"}, {URL: "https://ada:pw@example.org/x"},
			{URL: "https://token@example.org/x"}, {URL: "ssh://ada:pw@example.org/x"}, {URL: "/srv/../x"}, {URL: "ssh://-oProxyCommand=id/x"},
			{URL: "ssh://-oProxyCommand=id@example.org/x"}, {URL: "https://example.org/x.git?token=abc"}, {URL: "ssh://git@example.org/x#abc"}},
		"path":     {{Path: "srv"}, {Path: "/usr"}, {Path: "/srv"}, {Path: "/srv/x/"}},
		"revision": {{Revision: "-x"}, {Revision: "HEAD~1"}, {Revision: "a..b"}, {Revision: "@{u}"}, {Revision: "refs/heads/x:y"}, {URL: "http://example.org/x"}, {URL: "git://example.org/x"}},
	} {
		for _, g := range faults {
			fill(&g, good)
			var found *modules.ArgumentError
			if err := g.Validate(); !errors.As(err, &found) || found.Argument != argument {
				t.Errorf("%+v: found %v, expected a fault in %s", g, err, argument)
			}
		}
	}
	for _, g := range []git{{}, {URL: "git@example.org:site.git"}, {URL: "ssh://git@example.org:2222/site"}, {URL: "/srv/git/site.git"}, {URL: "http://example.org/x", Revision: commit}, {Revision: "feature/x-1.2"}, {Revision: "HEAD"}} {
		fill(&g, good)
		if err := g.Validate(); err != nil {
			t.Errorf("%+v: %v", g, err)
		}
	}
}

// fill sets the arguments of g that are empty to those of from.
func fill(g *git, from git) {
	for _, f := range []struct{ to, from *string }{{&g.URL, &from.URL}, {&g.Path, &from.Path}, {&g.Revision, &from.Revision}} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
}

// Whoever may write to the configuration of a repository decides which programs git runs, even if the repository is the actor's.
func TestRepositoriesOthersWriteTo(t *testing.T) {
	dir := func(owner, group string, mode fs.FileMode) observe.File {
		return observe.File{Type: observe.Directory, Mode: mode, Owner: owner, Group: group}
	}
	config := func(owner, group string, mode fs.FileMode) observe.File {
		return observe.File{Type: observe.Regular, Mode: mode, Owner: owner, Group: group}
	}
	for name, test := range map[string]struct {
		place, repository, config observe.File
		want                      string
	}{
		"nobody": {dir("www", "www", 0o755), dir("www", "www", 0o755), config("www", "www", 0o644), ""},
		"its own group": {
			dir("www", "www", 0o2775), dir("www", "www", 0o2775), config("www", "www", 0o664), "",
		},
		"root": {dir("www", "www", 0o755), dir("root", "root", 0o755), config("root", "root", 0o664), ""},
		"a group may write to the repository": {
			dir("www", "www", 0o755), dir("www", "devs", 0o2775), config("www", "www", 0o644), "the group devs can write to /srv/site/.git on n1",
		},
		"a group may write to the configuration": {
			dir("www", "www", 0o755), dir("www", "www", 0o755), config("www", "devs", 0o664), "the group devs can write to /srv/site/.git/config",
		},
		"everybody may": {
			dir("www", "www", 0o777), dir("www", "www", 0o755), config("www", "www", 0o644), "every user can write to /srv/site on n1",
		},
		"everybody may add files": {dir("www", "www", 0o1777), dir("www", "www", 0o755), config("www", "www", 0o644), ""},
		"everybody may add files to the repository": {
			dir("www", "www", 0o755), dir("www", "www", 0o1777), config("www", "www", 0o644), "every user can write to /srv/site/.git on n1",
		},
		"a group may add files to the repository": {
			dir("www", "www", 0o755), dir("www", "devs", 0o1775), config("www", "www", 0o644), "the group devs can write to /srv/site/.git on n1",
		},
		"the repository is another's": {
			dir("www", "www", 0o755), dir("ops", "ops", 0o755), config("ops", "ops", 0o644), "ops can write to /srv/site/.git on n1, and so make www run any program",
		},
		"the configuration is another's": {
			dir("www", "www", 0o755), dir("www", "www", 0o755), config("ops", "ops", 0o644), "ops can write to /srv/site/.git/config",
		},
		"the configuration is elsewhere": {
			dir("www", "www", 0o755), dir("www", "www", 0o755),
			observe.File{Type: observe.Symlink, Mode: 0o777, Owner: "www", Group: "www", Target: "/tmp/config"}, "a repository whose configuration is elsewhere",
		},
		"no repository": {dir("www", "www", 0o777), observe.File{}, observe.File{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := &git{Path: "/srv/site"}
			h := observe.NewRecorded("n1", observe.Files.Expect(g.config(), test.config), observe.Files.Expect(g.common(), observe.File{}))
			err := g.private(t.Context(), h, "www", "www", test.place, test.repository)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}
