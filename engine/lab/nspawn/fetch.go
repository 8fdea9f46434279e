//go:build linux

package nspawn

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hlplay/engine/lab/rootfs"
)

// Fetch returns a directory with the files (*.deb) of Debian packages and of all dependencies that the nodes lack,
// for a repository on the nodes' network. It downloads them from the host's own apt sources and caches them next to
// the base image.
func (n *Nodes) Fetch(ctx context.Context, packages ...string) (dir string, err error) {
	packages = slices.Sorted(slices.Values(packages))
	return rootfs.Cached(filepath.Dir(n.base), filepath.Base(n.base)+"-packages", []string{strings.Join(packages, ",")}, func(path string) error {
		if err := n.download(ctx, path, packages); err != nil {
			return fmt.Errorf("download %s: %w", strings.Join(packages, ", "), err)
		}
		return nil
	})
}

// download makes the host's apt resolve and download packages for the base image: in a separate directory, with the
// dpkg status of the image and the sources of its release.
func (n *Nodes) download(ctx context.Context, dir string, packages []string) error {
	sources, err := rootfs.Sources(ctx, n.suite)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rootfs.BuildLimit)
	defer cancel()
	state := filepath.Join(dir, "state")
	for _, d := range []string{"lists/partial", "cache/archives/partial", "etc"} {
		if err := os.MkdirAll(filepath.Join(state, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(state, "etc/sources.list"), []byte(sources), 0o644); err != nil {
		return err
	}
	options := []string{
		"-o", "Dir::State=" + state, "-o", "Dir::State::status=" + filepath.Join(n.base, "var/lib/dpkg/status"),
		"-o", "Dir::State::lists=" + filepath.Join(state, "lists"), "-o", "Dir::Cache=" + filepath.Join(state, "cache"),
		"-o", "Dir::Etc::SourceList=" + filepath.Join(state, "etc/sources.list"), "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::Etc::Preferences=/dev/null", "-o", "Dir::Etc::PreferencesParts=/dev/null",
		"-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=true", "-qq", "-y",
	}
	install := append([]string{"install", "--download-only", "--no-install-recommends"}, packages...)
	for _, command := range [][]string{{"update"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", append(slices.Clone(options), command...)...)
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", command[0], err, rootfs.LastLines(output.String(), 25))
		}
	}
	files, err := filepath.Glob(filepath.Join(state, "cache/archives/*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Rename(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return err
		}
	}
	return os.RemoveAll(state)
}
