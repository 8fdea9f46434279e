package remote

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Commands' files are kept in the first usable directory, whatever is wrong with the others.
func TestActingDirFallsBack(t *testing.T) {
	dir := t.TempDir()
	// A full file system on which directories can be created but no files.
	const full = `mkdir() { command mkdir "$@" && case $3 in */full/*) ln -s /dev/full "$3/script" ;; */fuller/*) ln -s /dev/full "$3/shell" ;; esac; }` + "\n"
	for _, name := range []string{"full", "fuller", "tmp", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for places, want := range map[string]string{
		"tmp other": "tmp", "full tmp": "tmp", "fuller tmp": "tmp", "none tmp": "tmp", "file tmp": "tmp", "/proc tmp": "tmp",
		"full none fuller other": "other", "none full file": "", "full fuller": "",
	} {
		all := strings.Fields(places)
		for i, place := range all {
			if !filepath.IsAbs(place) {
				all[i] = filepath.Join(dir, place)
			}
		}
		for _, shell := range []string{"sh", "bash"} {
			script := full + actingDir(strings.Join(all, " "), "hlplay.test") + `echo "$_hl_d"; rm -rf "$_hl_d"`
			cmd := exec.Command(shell, "-c", script)
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			got := strings.TrimSpace(string(out))
			if want == "" {
				if err == nil || !strings.Contains(errs.String(), "has room for the files of a command") {
					t.Errorf("%s, %s: %q, %v, %s; want that there is no room", shell, places, got, err, &errs)
				}
			} else if got != filepath.Join(dir, want, "hlplay.test") {
				t.Errorf("%s, %s: %q (%v, %s), want it in %s", shell, places, got, err, &errs, want)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}
