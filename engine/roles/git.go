package roles

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"hlplay/engine/gitrepo"
)

// patience limits the time for fetching a repository.
const patience = 10 * time.Minute

// Limits of a repository of roles, so that neither fetching it nor computing its hash takes long.
const (
	mostFiles = 20_000
	mostBytes = 256 << 20
	// mostListed limits git's output other than files, in bytes.
	mostListed = 16 << 20
)

// git runs git in its own directory, on the repository repo.git there.
type git struct{ dir string }

// environment returns this process's environment without the variables that redirect git: a git hook that runs hlplay
// sets those of its own repository. SSH and TLS settings are kept, except those that disable checks.
func (g *git) environment() []string {
	own := gitrepo.Environment()
	own["LC_ALL"] = "C" // messages are parsed
	own["GIT_CEILING_DIRECTORIES"] = filepath.Dir(g.dir)
	kept := map[string]bool{
		"GIT_SSH": true, "GIT_SSH_COMMAND": true, "GIT_SSH_VARIANT": true, "GIT_SSL_CAINFO": true, "GIT_SSL_CAPATH": true, "GIT_SSL_CERT": true, "GIT_SSL_KEY": true,
		"GIT_CONFIG_GLOBAL": true, "GIT_CONFIG_SYSTEM": true, "GIT_CONFIG_NOSYSTEM": true,
	}
	var all []string
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if _, replaced := own[name]; !replaced && (!strings.HasPrefix(name, "GIT_") || kept[name]) {
			all = append(all, setting)
		}
	}
	for name, value := range own {
		all = append(all, name+"="+value)
	}
	return all
}

// command returns a git command without hooks and other programs configured for local repositories. It runs in its own
// session: it has no terminal on which to ask, and ends with everything that it has started.
func (g *git) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{
		"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.recurseSubmodules=false",
	}, args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, g.environment(), 5*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// run returns git's output.
func (g *git) run(ctx context.Context, args ...string) (string, error) {
	var out, said capped
	out.most, said.most, said.cut = mostListed, 4<<10, true
	cmd := g.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if out.full {
		return "", fmt.Errorf("git prints more than %d MiB: the repository is too large for a repository of roles", mostListed>>20)
	}
	return out.kept.String(), explained(ctx, err, said.kept.String())
}

// explained returns why git failed, or nil.
func explained(ctx context.Context, err error, said string) error {
	said = told(said)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("git did not end within %d minutes", int(patience.Minutes()))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("git is not installed on this machine")
	case strings.Contains(said, "could not read Username"), strings.Contains(said, "Permission denied ("): // from an SSH server
		return fmt.Errorf("access was denied, and git cannot ask for a password here: set up an SSH key, with an agent if it has a passphrase, or a credential helper; git says: %s", said)
	case strings.Contains(said, "Host key verification failed"):
		return errors.New("ssh does not know the host key: connect with ssh once, and compare the key")
	case said != "":
		return fmt.Errorf("git says: %s", said)
	}
	return fmt.Errorf("git failed: %w", err)
}

// told returns a message of git or a server as a part of a sentence, without terminal control sequences.
func told(said string) string {
	var lines []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, line))
		if line = strings.TrimRight(line, "."); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// capped keeps what fits. If something does not fit, that is an error or, if cut is set, it is dropped.
type capped struct {
	kept bytes.Buffer // not embedded: io.Copy would use its ReadFrom instead of our Write
	most int
	cut  bool
	full bool
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	fits := min(len(p), c.most-c.kept.Len())
	c.kept.Write(p[:fits])
	c.full = c.full || fits < len(p)
	if c.full && !c.cut {
		return fits, io.ErrShortWrite
	}
	return len(p), nil
}

// resolve asks the repository of an address for the commit of its revision.
func (g *git) resolve(ctx context.Context, a Address) (string, error) {
	if gitrepo.IsCommit(a.Revision) {
		return a.Revision, nil
	}
	listing, err := g.run(ctx, append([]string{"ls-remote", "--quiet", "--", a.Repository}, gitrepo.Refs(a.Revision)...)...)
	if err != nil {
		return "", err
	}
	return gitrepo.Commit(a.Repository, a.Revision, listing)
}

// fetch fetches a commit, with its history only if there is no other way.
func (g *git) fetch(ctx context.Context, repository, commit string) error {
	format := "sha1"
	if len(commit) == 64 {
		format = "sha256"
	}
	if _, err := g.run(ctx, "init", "--quiet", "--bare", "--template=", "--object-format="+format, "--", "repo.git"); err != nil {
		return err
	}
	fetch := []string{"--git-dir=repo.git", "fetch", "--quiet", "--no-tags", "--no-recurse-submodules"}
	if _, err := g.run(ctx, append(fetch, "--depth=1", "--", repository, commit)...); err != nil {
		// Some servers provide only the commits of branches and tags, and some do not support shallow fetches.
		if ctx.Err() != nil {
			return err
		}
		if _, again := g.run(ctx, append(fetch, "--", repository, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")...); again != nil {
			return again
		}
		if _, missing := g.run(ctx, "--git-dir=repo.git", "cat-file", "-e", commit+"^{commit}"); missing != nil {
			return fmt.Errorf("it has no commit %s, or does not serve it because no branch contains it: %w", commit[:short], err)
		}
	}
	return nil
}

// blob is a file in a commit.
type blob struct {
	name, mode, object string
	size               int64
}

// tree lists the files in a commit. Submodules are omitted.
func (g *git) tree(ctx context.Context, commit string) ([]blob, error) {
	listing, err := g.run(ctx, "--git-dir=repo.git", "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	var all []blob
	total := int64(0)
	for entry := range strings.SplitSeq(strings.TrimSuffix(listing, "\x00"), "\x00") {
		about, name, _ := strings.Cut(entry, "\t")
		fields := strings.Fields(about)
		if len(fields) != 4 {
			return nil, fmt.Errorf("the commit has no files, or git lists them as %q", entry)
		}
		if fields[0] == "160000" {
			continue
		}
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git lists %q", entry)
		}
		if !validPath(name) {
			return nil, fmt.Errorf("it has a file named %q, which is not an acceptable file name", name)
		}
		total += size
		all = append(all, blob{name, fields[0], fields[2], size})
	}
	if len(all) > mostFiles || total > mostBytes {
		return nil, fmt.Errorf("it has %d files with %d MiB, more than the limits of %d and %d MiB for roles: move the roles to a repository of their own",
			len(all), total>>20, mostFiles, mostBytes>>20)
	}
	return all, nil
}

// export writes the files of a commit to a new directory, exactly as they are in the repository: no filter, attribute
// or hook applies.
func (g *git) export(ctx context.Context, commit, dir string) error {
	files, err := g.tree(ctx, commit)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var objects strings.Builder
	for _, f := range files {
		objects.WriteString(f.object + "\n")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := g.command(ctx, "--git-dir=repo.git", "cat-file", "--batch")
	said := capped{most: 4 << 10, cut: true}
	cmd.Stdin, cmd.Stderr = strings.NewReader(objects.String()), &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return explained(ctx, err, "")
	}
	if err := write(root, files, bufio.NewReader(out)); err != nil {
		stop()
		_ = cmd.Wait() // it is being killed
		return err
	}
	return explained(ctx, cmd.Wait(), said.kept.String())
}

// write creates files with the contents printed by `git cat-file --batch`, in the same order.
func write(root *os.Root, files []blob, contents *bufio.Reader) error {
	links := map[string]string{}
	for _, f := range files {
		head, err := contents.ReadString('\n')
		if want := fmt.Sprintf("%s blob %d\n", f.object, f.size); err != nil || head != want {
			return fmt.Errorf("git does not return %s: it says %q, %w", f.name, strings.TrimSpace(head), cmp.Or(err, io.ErrUnexpectedEOF))
		}
		content := io.LimitReader(contents, f.size)
		if f.mode == "120000" {
			target, err := io.ReadAll(content)
			if err != nil {
				return err
			}
			links[f.name] = string(target)
		} else if err := writeFile(root, f, content); err != nil {
			return err
		}
		if end, err := contents.ReadByte(); err != nil || end != '\n' {
			return fmt.Errorf("git does not return all of %s", f.name)
		}
	}
	for name, target := range links {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.Symlink(target, name); err != nil {
			return err
		}
	}
	for name, target := range links { // a link may lead through another one
		if _, err := root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("its symbolic link %s leads to %q, outside the repository or in a loop: remove it from the repository", name, target)
		}
	}
	return nil
}

func writeFile(root *os.Root, f blob, content io.Reader) error {
	mode := fs.FileMode(0o644)
	if f.mode == "100755" {
		mode = 0o755
	}
	if err := root.MkdirAll(path.Dir(f.name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, content)
	if err == nil && n < f.size {
		err = fmt.Errorf("git does not return all of %s", f.name)
	}
	return errors.Join(err, file.Chmod(mode), file.Close())
}
