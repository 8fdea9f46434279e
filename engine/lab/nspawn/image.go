//go:build linux

package nspawn

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// suite is the Debian release of the nodes.
const suite = "bookworm"

// packages are the packages of a node besides the essential ones: a Debian server with sshd in its default
// configuration.
var packages = []string{
	"apt", "ca-certificates", "cron", "dbus", "debconf", "init", "iproute2", "kmod", "libpam-systemd",
	"locales", "openssh-server", "procps", "sudo", "systemd-sysv", "tzdata",
}

// recipe turns a fresh root file system ($1) into a node's; it runs once an image.
//
//go:embed recipe.sh
var recipe string

// buildLimit limits how long it may take to build a base image, with some 120 packages to download and unpack.
const buildLimit = 15 * time.Minute

// image returns the directory of the base image, which it builds unless it is cached. The name contains a hash of the
// recipe, so that a change of the recipe builds a new image.
func image(ctx context.Context, o Options) (string, error) {
	cache, err := cacheDir(o)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("directory of base images: %w", err)
	}
	included := strings.Join(append(slices.Clone(packages), o.Packages...), ",")
	sum := sha256.Sum256([]byte(suite + "\n" + included + "\n" + recipe))
	base := filepath.Join(cache, "debian-"+suite+"-"+hex.EncodeToString(sum[:6]))
	// A second process waits for the image that the first one builds.
	lock, err := os.OpenFile(base+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock of the base image: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock of the base image: %w", err)
	}
	if _, err := os.Stat(base); err == nil {
		return base, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	partial := base + ".partial"
	if err := os.RemoveAll(partial); err != nil { // left by a build that was killed
		return "", fmt.Errorf("remains of an earlier build: %w", err)
	}
	began := time.Now()
	o.Log("building the base image %s (Debian %s); this happens once", base, suite)
	if err := build(ctx, partial, included); err != nil {
		return "", errors.Join(err, os.RemoveAll(partial))
	}
	if err := os.Rename(partial, base); err != nil {
		return "", err
	}
	o.Log("the base image took %s", time.Since(began).Round(time.Second))
	return base, nil
}

// build creates a root file system with packages (names separated by commas) in dir, from the host's own sources.
func build(ctx context.Context, dir, included string) error {
	sources, err := hostSources(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	args := []string{
		"--mode=root", "--variant=minbase", "--format=directory", "--components=main",
		"--include=" + included, "--customize-hook=" + recipe,
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
		return fmt.Errorf("build the base image with mmdebstrap: %w\n%s", err, lastLines(output.String(), 25))
	}
	return nil
}

// hostSources returns the host's own sources for the nodes' release, in the form of sources.list(5).
func hostSources(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("which sources the host's apt has: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[2] == "main" && (f[1] == suite || strings.HasPrefix(f[1], suite+"-")) {
			lines = append(lines, "deb "+strings.Join(f, " "))
		}
	}
	if len(lines) == 0 {
		return "", fmt.Errorf("the host's apt has no source of Debian %s, which the nodes are built from: add one to /etc/apt/sources.list.d", suite)
	}
	return strings.Join(lines, "\n") + "\n", nil
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

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
