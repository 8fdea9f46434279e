package download

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const (
	sum   = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
	other = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
)

// host has nothing at /opt/tool, and curl.
func host(more ...observe.Expectation) modules.Host {
	root := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	return observe.NewRecorded("n1", append([]observe.Expectation{
		places.Expect("/opt/tool", place{}),
		observe.Files.Expect("/", root), observe.Files.Expect("/opt", root), observe.Files.Expect("/opt/.hlplay.download", observe.File{}),
		observe.Files.Expect("/opt/tool/"+marker, observe.File{}),
		observe.Checksums.Expect("/opt/tool", observe.Checksum{}),
		observe.Programs.Expect("curl", true), observe.Programs.Expect("wget", false), observe.Programs.Expect("tar", true), observe.Programs.Expect("unzip", false),
		observe.Whoami.Expect("", "root"),
		observe.Users.Expect("ops", observe.User{Name: "ops"}),
	}, more...)...)
}

func there(p place, s string) []observe.Expectation {
	return []observe.Expectation{places.Expect("/opt/tool", p), observe.Checksums.Expect("/opt/tool", observe.Checksum{SHA256: s, SHA512: strings.Repeat("0", 128)})}
}

func unpacked(s string) []observe.Expectation {
	text := s + " 0\n"
	return []observe.Expectation{
		places.Expect("/opt/tool", place{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/opt/tool/"+marker, observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(text)), Content: []byte(text)}),
	}
}

func TestPlans(t *testing.T) {
	regular := place{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root"}
	for _, test := range []struct {
		name string
		d    download
		host modules.Host
		want string
		risk modules.Risk
	}{
		{"new", download{}, host(), "download https://example.org/tool to /opt/tool", modules.Harmless},
		{"there", download{}, host(there(regular, sum)...), "", modules.Harmless},
		{"another file", download{}, host(there(regular, other)...), "replace what is there: download https://example.org/tool to /opt/tool", modules.Harmless},
		{"another mode and owner", download{Mode: 0o755, Owner: "ops"}, host(there(regular, sum)...), "set mode 0755, owner ops of /opt/tool", modules.Harmless},
		{"with wget", download{}, host(observe.Programs.Expect("curl", false), observe.Programs.Expect("wget", true)), "download https://example.org/tool to /opt/tool", modules.Harmless},
		{"an archive", download{Unpack: true}, host(), "download https://example.org/tool and unpack it to /opt/tool", modules.Harmless},
		{"an archive that is there", download{Unpack: true}, host(unpacked(sum)...), "", modules.Harmless},
		{"another archive", download{Unpack: true}, host(unpacked(other)...), "replace the contents of /opt/tool with those of https://example.org/tool", modules.Destroys},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.d.URL, test.d.Path, test.d.SHA256 = "https://example.org/tool", "/opt/tool", strings.ToUpper(sum)
			if err := modulestest.Decoded(&test.d).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.d, test.host)
			if diff := cmp.Diff(test.want, strings.TrimSpace(modulestest.Summaries(plan))); diff != "" {
				t.Fatalf("wrong steps (-want +got):\n%s", diff)
			}
			for _, step := range plan.Steps {
				if got := plan.RiskOf(step); got != test.risk {
					t.Errorf("the class of %q is %v, expected %v", step.Summary, got, test.risk)
				}
				if run, ok := step.Action.(modules.Run); ok && strings.Contains(strings.Join(run.Argv[3:], " "), "example.org") {
					t.Errorf("every user of the host sees the URL in %q", run.Argv[3:])
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	dir := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "ops", Group: "ops"}
	for _, test := range []struct {
		name, want string
		d          download
		host       modules.Host
	}{
		{"no client", "n1 has neither curl nor wget", download{}, host(observe.Programs.Expect("curl", false))},
		{"no unzip", "needs unzip", download{Unpack: true, URL: "https://example.org/tool.zip"}, host()},
		{"a link", "is a symbolic link", download{}, host(places.Expect("/opt/tool", place{Type: observe.Symlink, Mode: 0o777}))},
		{"a directory", "is a directory on n1", download{}, host(places.Expect("/opt/tool", place{Type: observe.Directory}))},
		{"a directory of somebody's", "was not created by a download", download{Unpack: true}, host(places.Expect("/opt/tool", place{Type: observe.Directory}))},
		{"another user's directory", "ops can replace files in /opt", download{}, host(observe.Files.Expect("/opt", dir))},
		{"no directory", "n1 has no directory /opt", download{}, host(observe.Files.Expect("/opt", observe.File{}))},
	} {
		if test.d.URL == "" {
			test.d.URL = "https://example.org/tool"
		}
		test.d.Path, test.d.SHA256 = "/opt/tool", sum
		plan, err := modulestest.Decoded(&test.d).Plan(t.Context(), test.host)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, expected one with %q; the plan is:\n%s", test.name, err, test.want, modulestest.Summaries(plan))
		}
	}
}

func TestFaultsInArguments(t *testing.T) {
	good := download{URL: "https://example.org/t.tar", Path: "/opt/t", SHA256: sum}
	for argument, faults := range map[string][]func(*download){
		"url":    {func(d *download) { d.URL = "example.org/t" }, func(d *download) { d.URL = "file:///etc/shadow" }, func(d *download) { d.URL = "https://x/a b" }},
		"path":   {func(d *download) { d.Path = "opt" }, func(d *download) { d.Path, d.Unpack = "/usr", true }},
		"sha256": {func(d *download) { d.SHA256 = "" }, func(d *download) { d.SHA256 = "abc" }},
		"sha512": {func(d *download) { d.SHA512 = sum + sum }, func(d *download) { d.SHA256, d.SHA512 = "", sum }},
		"strip":  {func(d *download) { d.Strip = 1 }, func(d *download) { d.Unpack, d.Strip, d.URL = true, 1, "https://x/a.zip" }},
		"mode":   {func(d *download) { d.Mode = 1 << 13 }},
		"owner":  {func(d *download) { d.Owner = "0" }},
	} {
		for i, fault := range faults {
			d := good
			fault(&d)
			var found *modules.ArgumentError
			if err := modulestest.Decoded(&d).Validate(); !errors.As(err, &found) || found.Argument != argument {
				t.Errorf("fault %d in %s: found %v", i, argument, err)
			}
		}
	}
	if err := modulestest.Decoded(&good).Validate(); err != nil {
		t.Error(err)
	}
}

// The script runs with the programs of this machine, against a server that redirects.
func TestFetching(t *testing.T) {
	archive := gzipped(t, map[string]string{"tool-1/bin/run": "#!/bin/sh\n", "tool-1/README": "read\n"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/tool":
			_, _ = w.Write([]byte("1"))
		case "/moved":
			http.Redirect(w, r, "/tool", http.StatusFound)
		case "/a.tar.gz":
			_, _ = w.Write(archive)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	of := sha256.Sum256(archive)
	for _, client := range []string{"curl", "wget"} {
		dir := t.TempDir()
		fetch := func(d download) string {
			t.Helper()
			d.URL, d.Path, d.Mode = server.URL+d.URL, filepath.Join(dir, d.Path), 0o750
			h := observe.NewRecorded("n1", observe.Programs.Expect("curl", client == "curl"), observe.Programs.Expect("wget", client == "wget"), observe.Programs.Expect("tar", true))
			for at := d.Path; ; at = filepath.Dir(at) { // all of it belongs to root on this host
				h.Predict([]observe.Expectation{observe.Files.Expect(at, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root"})})
				if at == "/" {
					break
				}
			}
			h.Predict([]observe.Expectation{observe.Files.Expect(d.probe(), observe.File{})})
			steps, err := (&state{download: &d, host: h}).fetch(t.Context(), "fetch", 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			run := steps[0].Action.(modules.Run)
			cmd := exec.Command(run.Argv[0], run.Argv[1:]...)
			cmd.Stdin = bytes.NewReader(run.Stdin)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Run(); err != nil {
				return run.Explain(cmd.ProcessState.ExitCode(), nil, stderr.Bytes()).Error()
			}
			return ""
		}
		content := func(name string) string {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err.Error()
			}
			return string(text)
		}
		if got := fetch(download{URL: "/moved", Path: "tool", SHA256: sum}); got != "" || content("tool") != "1" {
			t.Errorf("%s: %s; the file is %q", client, got, content("tool"))
		}
		if info, err := os.Stat(filepath.Join(dir, "tool")); err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("%s: the mode is %v (%v)", client, info.Mode(), err)
		}
		if got := fetch(download{URL: "/tool", Path: "tool", SHA256: other}); !strings.Contains(got, "has SHA-256 checksum "+sum+", expected "+other) || content("tool") != "1" {
			t.Errorf("%s: the wrong file is told as %q", client, got)
		}
		if got := fetch(download{URL: "/none", Path: "none", SHA256: sum}); !strings.Contains(got, "404") {
			t.Errorf("%s: a URL with nothing is told as %q", client, got)
		}
		for range 2 { // the second replaces the first
			if got := fetch(download{URL: "/a.tar.gz", Path: "dir", SHA256: hex.EncodeToString(of[:]), Unpack: true, Strip: 1}); got != "" || content("dir/README") != "read\n" {
				t.Errorf("%s: %s; the file is %q", client, got, content("dir/README"))
			}
		}
		if got := content("dir/" + marker); got != hex.EncodeToString(of[:])+" 1\n" {
			t.Errorf("%s: the marker is %q", client, got)
		}
		if got := fetch(download{URL: "/a.tar.gz", Path: "empty", SHA256: hex.EncodeToString(of[:]), Unpack: true, Strip: 5}); !strings.Contains(got, "strip removes too many") {
			t.Errorf("%s: an archive of which nothing is left: %q", client, got)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 2 {
			t.Errorf("%s: %v is left (%v), expected the file and the directory alone", client, left, err)
		}
	}
}

func gzipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A password in the URL is held back from everything that the run shows.
func TestURLWithPassword(t *testing.T) {
	for text, want := range map[string][]string{
		"https://ops:s3kret%2F@example.org/tool":  {"s3kret/", "s3kret%2F"},
		"https://ops:s3kret@example.org/tool?a@b": {"s3kret"},
		"https://ops@example.org/tool":            nil,
		"https://example.org/tool":                nil,
	} {
		plan, err := modulestest.Decoded(&download{URL: text, Path: "/opt/tool", SHA256: sum}).Plan(t.Context(), host())
		if diff := cmp.Diff(want, plan.Secrets); diff != "" || err != nil {
			t.Errorf("%s: secrets (-want +got), %v:\n%s", text, err, diff)
		}
	}
}

func TestAdvice(t *testing.T) {
	for path, want := range map[string]string{"/etc/host": modules.AdviceEtcHost, "/etc/hosts": ""} {
		var got string
		for _, a := range (&download{Path: path}).Advise() {
			got += a.Name
		}
		if got != want {
			t.Errorf("%s: advice %q, want %q", path, got, want)
		}
	}
}
