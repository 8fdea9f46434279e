package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// Downloadable returns content for Archive.Publish: text or, if there are files, an archive. Its SHA-256 sum is sha256
// or, if that is empty, that of the returned content.
func Downloadable(content, sha256 string, files map[string]string) ([]byte, error) {
	if files == nil && sha256 == "" {
		return []byte(content), nil
	}
	listing, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	return append(StandIn(strings.ToLower(sha256), ""), listing...), nil
}

// archived returns the files in content that stands in for an archive.
func archived(content []byte) (map[string]string, bool) {
	first, listing, _ := strings.Cut(string(content), "\n")
	files := map[string]string{}
	if !strings.HasPrefix(first, standInMark) || json.Unmarshal([]byte(listing), &files) != nil || len(files) == 0 {
		return nil, false
	}
	return files, true
}

// tar unpacks content that stands in for an archive. Files in a directory bin are executable.
func tar(_ context.Context, c *Call) int {
	o, ok := c.options("xf:C:", "strip-components=", "no-same-owner", "no-same-permissions", "version")
	if !ok {
		return 2
	}
	if !o.has("x") || len(o.rest) > 0 {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	content, err := afero.ReadFile(c.FS(), c.Path(o.value("f")))
	if err != nil {
		return c.Errorf("%s: Cannot open: %s", o.value("f"), errText(err)) + 1
	}
	files, ok := archived(content)
	if !ok {
		fmt.Fprintln(c.Stderr, "tar: This does not look like a tar archive\ntar: Exiting with failure status due to previous errors")
		return 2
	}
	strip := 0
	if n := o.value("strip-components"); n != "" {
		if _, err := fmt.Sscan(n, &strip); err != nil {
			return c.Errorf("Invalid number of elements: %s", n) + 1
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		parts := strings.Split(name, "/")
		if len(parts) <= strip {
			continue
		}
		to := path.Join(c.Path(o.value("C")), path.Join(parts[strip:]...))
		mode := fs.FileMode(0o644)
		if path.Base(path.Dir(name)) == "bin" {
			mode = 0o755
		}
		if err := c.FS().MkdirAll(path.Dir(to), 0o755); err != nil {
			return c.Errorf("%s: Cannot mkdir: %s", path.Dir(to), errText(err)) + 1
		}
		if err := afero.WriteFile(c.FS(), to, []byte(files[name]), mode); err != nil {
			return c.Errorf("%s: Cannot open: %s", to, errText(err)) + 1
		}
	}
	return 0
}
