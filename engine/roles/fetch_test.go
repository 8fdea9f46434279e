package roles

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// origin is a repository of roles, and a project that imports them.
type origin struct {
	t            *testing.T
	dir, project string
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
		"GIT_COMMITTER_NAME": "ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
	} {
		t.Setenv(name, value)
	}
	o := &origin{t, filepath.Join(home, "roles.git"), filepath.Join(home, "project")}
	if err := os.Mkdir(o.project, 0o755); err != nil {
		t.Fatal(err)
	}
	o.git("init", "--quiet", "-b", "main", ".")
	return o
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits a file and returns the commit.
func (o *origin) commit(name, content string) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		o.t.Fatal(err)
	}
	o.git("add", ".")
	o.git("commit", "--quiet", "-m", name)
	return o.git("rev-parse", "HEAD")
}

// at returns the address of a revision of the repository.
func (o *origin) at(revision string) Address { return Address{"file://" + o.dir, revision, "."} }

// locate fetches an address and saves the lock file.
func (o *origin) locate(a Address) (string, error) {
	o.t.Helper()
	f, err := Fetch(o.t.Context(), o.project)
	if err != nil {
		o.t.Fatal(err)
	}
	defer f.Close()
	dir, err := f.Locate(a)
	if err == nil {
		_, saved := f.Save()
		if found, err := f.Store.Locate(a); err != nil || found != dir || saved != nil {
			o.t.Errorf("what was fetched is at %q: %v; saved: %v", found, err, saved)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(o.project, Dir, unfinished+"*")); left != nil {
		o.t.Errorf("it leaves %q", left)
	}
	return dir, err
}

// A fetched file is exactly the one in the repository: no attribute, filter or hook changes it, and nothing but files
// is fetched.
func TestFetchedAsItIs(t *testing.T) {
	o := newOrigin(t)
	o.git("config", "--global", "filter.ran.smudge", "touch '"+filepath.Join(o.project, "ran")+"'; cat")
	o.git("config", "--global", "core.autocrlf", "true")
	o.git("config", "--global", "core.safecrlf", "false")
	o.commit(".gitattributes", "docker/*.tmpl filter=ran text eol=crlf\nsecret export-ignore\nid export-subst\n")
	o.commit("id", "$Format:%H$\n")
	o.commit("secret", "kept\n")
	if err := os.Mkdir(filepath.Join(o.dir, "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../id", filepath.Join(o.dir, "docker", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "docker", "setup"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("a1", 20)+",module")
	o.git("add", "docker")
	o.git("commit", "--quiet", "-m", "links")
	o.commit("docker/a.tmpl", "one\n")
	dir, err := o.locate(o.at("main"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"id": "$Format:%H$\n", "docker/link": "$Format:%H$\n", "secret": "kept\n", "docker/a.tmpl": "one\n", "docker/setup": "#!/bin/sh\n"} {
		if content, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(content) != want {
			t.Errorf("%s has %q (%v), expected %q", name, content, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "docker", "setup")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program is %v, %v", info, err)
	}
	for _, name := range []string{filepath.Join(dir, "module"), filepath.Join(dir, ".git"), filepath.Join(o.project, "ran")} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("there is %s", name)
		}
	}
}

func TestRevisions(t *testing.T) {
	o := newOrigin(t)
	old := o.commit("page", "one\n")
	o.git("tag", "v1")
	o.commit("page", "two\n")
	page := func(a Address) string {
		t.Helper()
		dir, err := o.locate(a)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, "page"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	// With version 0 of the protocol, a server provides only the commits of branches and tags.
	for _, protocol := range []string{"2", "0"} {
		o.git("config", "--global", "protocol.version", protocol)
		o.git("config", "--global", "--replace-all", "uploadpack.allowAnySHA1InWant", "false")
		if err := os.RemoveAll(filepath.Join(o.project, Dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(o.project, LockFile)); err != nil && protocol == "0" {
			t.Fatal(err)
		}
		o.git("tag", "-f", "v1", old)
		if page(o.at("v1")) != "one\n" || page(o.at("HEAD")) != "two\n" || page(o.at("main")) != "two\n" {
			t.Error("the revisions are others")
		}
		o.git("tag", "-d", "v1")
		if page(o.at(old)) != "one\n" {
			t.Error("the commit is another")
		}
	}
	for revision, want := range map[string]string{"none": "tag none", strings.Repeat("0", 40): "has no commit 000000000000"} {
		if _, err := o.locate(o.at(revision)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, expected %q", revision, err, want)
		}
	}
}

// Links that lead out of the repository, also through other links, are refused.
func TestLinksThatLeadOut(t *testing.T) {
	for name, links := range map[string]map[string]string{
		"absolute": {"a": "/etc/passwd"}, "relative": {"d/a": "../../x"}, "through another": {"a": "d/up/x", "d/up": "../.."}, "absent": {"a": "../none"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.commit("d/page", "one\n")
			for link, target := range links {
				if err := os.Symlink(target, filepath.Join(o.dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			o.commit("page", "two\n")
			if _, err := o.locate(o.at("main")); err == nil || !strings.Contains(err.Error(), "its symbolic link") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// An interruption ends git and all processes that it has started, and leaves nothing half fetched.
func TestInterruption(t *testing.T) {
	o := newOrigin(t)
	pipe, ssh := filepath.Join(o.project, "pipe"), filepath.Join(o.project, "ssh")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ssh, []byte("#!/bin/sh\nexec 3>'"+pipe+"'\necho started >&3\nexec sleep 1000000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSH", ssh)
	ctx, cancel := context.WithCancelCause(t.Context())
	f, err := Fetch(ctx, o.project)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Fetch(ctx, o.project); err == nil || !strings.Contains(err.Error(), "another hlplay is fetching roles") {
		t.Errorf("beside another: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := f.Locate(Address{"ssh://git@example.org/roles.git", "main", "."})
		ended <- err
	}()
	holders, err := os.Open(pipe) // waits for ssh
	if err != nil {
		t.Fatal(err)
	}
	defer holders.Close()
	said := bufio.NewReader(holders)
	if line, err := said.ReadString('\n'); err != nil || line != "started\n" {
		t.Fatalf("%q, %v", line, err)
	}
	cancel(errors.New("Ctrl-C"))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "Ctrl-C") {
		t.Errorf("the error is %v", err)
	}
	if _, err := io.ReadAll(said); err != nil { // waits for the end of ssh
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Join(o.project, Dir))
	if err != nil || len(entries) != 1 || entries[0].Name() != ".lock" {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// A server's messages are not printed on the terminal unfiltered, and only a limited amount of what it sends is kept.
func TestGitPrintsTooMuch(t *testing.T) {
	newOrigin(t)
	g := &git{t.TempDir()}
	out, err := g.run(t.Context(), "-c", "alias.long=!yes", "long")
	if err == nil || !strings.Contains(err.Error(), "git prints more than 16 MiB") || len(out) > mostListed {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	_, err = g.run(t.Context(), "-c", "alias.long=!yes no | head -c 1000000 >&2; false", "long")
	if err == nil || !strings.Contains(err.Error(), "git says: no; no") || len(err.Error()) > 10<<10 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestTold(t *testing.T) {
	said := "fatal: remote error: \x1b[2Jno\xff.\r\nPlease ask.\n\n"
	if err := explained(t.Context(), errors.New("exit status 128"), said); err == nil || err.Error() != "git says: fatal: remote error: [2Jno\ufffd; Please ask" {
		t.Errorf("the error is %q", err)
	}
}

// What a killed hlplay has left behind is removed.
func TestLeftBehind(t *testing.T) {
	o := newOrigin(t)
	o.commit("page", "one\n")
	left := filepath.Join(o.project, Dir, unfinished+"1", "tree")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := o.locate(o.at("main")); err != nil { // locate removes it
		t.Error(err)
	}
}
