package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestPackage packages this program as make dist does, and checks what users of the package get.
func TestPackage(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, pages := filepath.Join(dir, "hlplay"), filepath.Join(dir, "pages")
	if err := os.Symlink(own, program); err != nil { // TestMain checks the program's name
		t.Fatal(err)
	}
	writer := filepath.Join(dir, "writer")
	build := []string{"build", "-tags", "pages", "-o", writer}
	if info, _ := debug.ReadBuildInfo(); slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		build = append(build, "-race") // dependencies are already compiled with it
	}
	output(t, "go", append(build, ".")...)
	output(t, "../../.ci/pages", writer, pages)

	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, cmd := range available(root()) {
		commands++
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		page, err := os.ReadFile(filepath.Join(pages, "man", name+".1"))
		if err != nil {
			t.Errorf("%s has no manual page: %v", cmd.CommandPath(), err)
			continue
		}
		text := strings.ReplaceAll(string(page), `\-`, "-")
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("the manual page of %s does not tell of --%s", cmd.CommandPath(), f.Name)
			}
		})
		if strings.Contains(text, home+"/") {
			t.Errorf("the manual page of %s names the home directory of who built it", cmd.CommandPath())
		}
	}
	written, err := filepath.Glob(filepath.Join(pages, "man", "*.1"))
	if err != nil || len(written) < commands {
		t.Errorf("%d manual pages of %d commands, %v", len(written), commands, err)
	}

	t.Setenv("DPKG_DEB_COMPRESSOR_TYPE", "none") // for speed
	architecture := strings.TrimSpace(output(t, "dpkg", "--print-architecture"))
	file := filepath.Join(dir, "hlplay_1.2~rc1_"+architecture+".deb") // for apt, 1.2 must be newer
	if printed := output(t, "../../.ci/deb", program, architecture, "1.2-rc1", pages, dir); printed != file+"\n" {
		t.Fatalf("it printed %q, expected %q", printed, file)
	}
	if is := output(t, "dpkg-deb", "--field", file, "Package", "Version", "Architecture"); is != "Package: hlplay\nVersion: 1.2~rc1\nArchitecture: "+architecture+"\n" {
		t.Errorf("the package says of itself:\n%s", is)
	}
	for line := range strings.Lines(output(t, "dpkg-deb", "--contents", file)) {
		if !strings.Contains(line, " root/root ") {
			t.Errorf("not of root: %s", line)
		}
	}
	installed := filepath.Join(dir, "root")
	output(t, "dpkg-deb", "--extract", file, installed)
	if is := output(t, filepath.Join(installed, "usr/bin/hlplay"), "--version"); !strings.HasPrefix(is, "hlplay version ") || !strings.Contains(is, runtime.Version()) {
		t.Errorf("the installed program says that it is %q", is)
	}
	if n, err := filepath.Glob(filepath.Join(installed, "usr/share/man/man1/*.1.gz")); err != nil || len(n) != len(written) {
		t.Errorf("%d manual pages are installed of %d, %v", len(n), len(written), err)
	}
	output(t, "bash", "-n", filepath.Join(installed, "usr/share/bash-completion/completions/hlplay"))
	for _, completion := range []string{"zsh/vendor-completions/_hlplay", "fish/vendor_completions.d/hlplay.fish"} {
		if text, err := os.ReadFile(filepath.Join(installed, "usr/share", completion)); err != nil || !bytes.Contains(text, []byte("__complete")) {
			t.Errorf("%s does not ask hlplay: %v\n%s", completion, err, text)
		}
	}
}

// available returns a command and its subcommands, as far as the help lists them.
func available(cmd *cobra.Command) []*cobra.Command {
	if !cmd.HasParent() {
		cmd.InitDefaultCompletionCmd()
		cmd.InitDefaultHelpCmd()
	}
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, available(c)...)
		}
	}
	return all
}

// An invalid package version is rejected before anything is built.
func TestVersionOfARelease(t *testing.T) {
	for _, version := range []string{"v1.2", "1.2 beta", "latest", "1.2/3"} {
		out, err := exec.Command("../../.ci/dist", version).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "VERSION is "+version+", and must begin with a digit") {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
}

// A build without a tag is older than any later release, so that apt upgrades to the release.
func TestVersionsInOrder(t *testing.T) {
	script, err := filepath.Abs("../../.ci/version")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"} {
		t.Setenv(name, "ada")
	}
	output(t, "git", "init", "--quiet")
	var versions []string
	for i, tag := range []string{"", "", "v0.1-rc1", "v0.1", "", "", "v0.1.1", "v0.2"} {
		t.Setenv("GIT_COMMITTER_DATE", fmt.Sprintf("2026-11-29T10:%02d:00Z", i))
		output(t, "git", "commit", "--quiet", "--allow-empty", "-m", "change")
		if tag != "" {
			output(t, "git", "tag", tag)
		}
		version := strings.TrimSpace(output(t, script))
		if tag != "" && version != tag[1:] {
			t.Errorf("the version of %s is %s", tag, version)
		}
		versions = append(versions, strings.Replace(version, "-", "~", 1)) // as .ci/deb does
	}
	for i := 1; i < len(versions); i++ {
		if err := exec.Command("dpkg", "--compare-versions", versions[i-1], "lt", versions[i]).Run(); err != nil {
			t.Errorf("%s is not before %s in Debian's order: %v", versions[i-1], versions[i], err)
		}
	}
}

// TestBillOfMaterials compares the bill of materials from make dist with the modules that the program itself reports.
func TestBillOfMaterials(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Fatal("this program does not know what it was built from")
	}
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Type, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal([]byte(output(t, "go", "run", "../../.ci/sbom", "1.2", own)), &bom); err != nil {
		t.Fatal(err)
	}
	if c := bom.Metadata.Component; bom.BOMFormat != "CycloneDX" || c.Type != "application" || c.Version != "1.2" {
		t.Errorf("it describes %+v in the format %q", c, bom.BOMFormat)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		if c.PURL != "pkg:golang/"+c.Name+"@"+strings.ReplaceAll(c.Version, "+", "%2B") {
			t.Errorf("the URL of %s %s is %s", c.Name, c.Version, c.PURL)
		}
		listed[c.Name] = c.Version
	}
	want := map[string]string{"std": strings.TrimPrefix(runtime.Version(), "go")}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	for name, version := range want {
		if listed[name] != version {
			t.Errorf("%s is listed as %q, expected %q", name, listed[name], version)
		}
	}
	if len(listed) != len(want) {
		t.Errorf("%d components, expected %d", len(listed), len(want))
	}
}

// output runs a program that must succeed, and returns its output.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &errs)
	}
	return string(out)
}
