//go:build linux

// Package rootfs builds Debian root file systems with mmdebstrap, from the host's own apt sources, and caches what is
// made from them.
package rootfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Suite is the Debian release of the root file systems, if nothing else is asked for.
const Suite = "bookworm"

// BuildLimit limits the time to build a root file system, with hundreds of packages to download and unpack.
const BuildLimit = 30 * time.Minute

// CacheDir returns the cache directory: dir or, if that is empty, $HLPLAY_E2E_CACHE or, if that is unset, hlplay in the
// user's cache directory.
func CacheDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("HLPLAY_E2E_CACHE")
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("where to keep base images: %w; set HLPLAY_E2E_CACHE to a directory", err)
		}
		dir = filepath.Join(user, "hlplay")
	}
	return filepath.Abs(dir)
}

// Cached returns the path of a cached file or directory below dir. If there is none, make creates it at the path that
// it is given. The path begins with name and contains a hash of the recipe, so that a changed recipe is built again.
// Processes that want the same path wait for the first one to make it.
func Cached(dir, name string, recipe []string, make func(path string) error) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(recipe, "\n")))
	path := filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("directory of base images: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock of %s: %w", path, err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock of %s: %w", path, err)
	}
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	partial := path + ".partial"
	if err := os.RemoveAll(partial); err != nil { // a process that was killed may have left it
		return "", fmt.Errorf("remains of an earlier build: %w", err)
	}
	if err := make(partial); err != nil {
		return "", errors.Join(err, os.RemoveAll(partial))
	}
	return path, os.Rename(partial, path)
}

// Build creates a root file system of a Debian release with packages besides the essential ones in dir, from the host's
// own sources. The recipe is a shell script that gets the directory as $1 and runs last.
func Build(ctx context.Context, suite, dir string, packages []string, recipe string) error {
	sources, err := Sources(ctx, suite)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, BuildLimit)
	defer cancel()
	args := []string{
		"--mode=root", "--variant=minbase", "--format=directory", "--components=main",
		"--include=" + strings.Join(packages, ","), "--customize-hook=" + recipe,
	}
	settings, err := hostSettings(ctx)
	if err != nil {
		return err
	}
	for _, s := range settings {
		args = append(args, "--aptopt="+s)
	}
	// In a separate mount namespace, what mmdebstrap mounts is unmounted even if it is killed.
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--kill-child", "--fork", "mmdebstrap"}, append(args, suite, dir, "-")...)...)
	cmd.Stdin = strings.NewReader(sources)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("build the base image with mmdebstrap: %w\n%s", err, LastLines(output.String(), 25))
	}
	return nil
}

// Sources returns the host's own sources for a Debian release, in the form of sources.list(5). If the host has none for it,
// the release is looked for where the host has Suite from, as an archive has several.
func Sources(ctx context.Context, suite string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("which sources the host's apt has: %w", err)
	}
	for _, has := range []string{suite, Suite} {
		var lines []string
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if len(f) != 3 || f[2] != "main" {
				continue
			}
			if rest, ok := strings.CutPrefix(f[1], has); ok && (rest == "" || rest[0] == '-') {
				lines = append(lines, "deb "+f[0]+" "+suite+rest+" main")
			}
		}
		if len(lines) > 0 {
			return strings.Join(lines, "\n") + "\n", nil
		}
	}
	return "", fmt.Errorf("the host's apt has no source of Debian %s, which the nodes are built from: add one to /etc/apt/sources.list.d", suite)
}

// hostSettings returns the host's own settings for downloads: proxies, retries, checks of dates.
func hostSettings(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire").Output()
	if err != nil {
		return nil, fmt.Errorf("how the host's apt downloads: %w", err)
	}
	var settings []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		name, _, _ := strings.Cut(line, " ")
		for _, kept := range []string{"Proxy", "::Check-", "::Retries", "::Timeout", "::Verify-", "::CaInfo"} {
			if strings.Contains(name, kept) && !strings.Contains(line, ` ""`) {
				settings = append(settings, strings.TrimSuffix(line, ";"))
				break
			}
		}
	}
	return settings, nil
}

// LastLines returns the last lines of a text, for messages.
func LastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
