package apt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"hlplay/engine/localfile"
	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/required"
)

// Key is the desired state of a file with the keys that sign a repository.
type Key struct {
	Path          string `hcl:"path" doc:"Path of the key on the host: /usr/share/keyrings/proxmox-archive-keyring.gpg."`
	Source        string `hcl:"source,optional" path:"controller" doc:"A file on the controller; a relative path is relative to the playbook's file."`
	Content       string `hcl:"content,optional" doc:"The key itself: armored text, or a binary key in base64 (filebase64)."`
	URL           string `hcl:"url,optional" doc:"URL from which the host downloads the key with apt's own downloader. A checksum is required."`
	SHA256        string `hcl:"sha256,optional" doc:"SHA-256 checksum of the key, in hexadecimal."`
	SHA512        string `hcl:"sha512,optional" doc:"SHA-512 checksum of the key, in hexadecimal."`
	UnlessPackage string `hcl:"unless_package,optional" doc:"Leave the file alone once this package, which then owns it, is installed: proxmox-archive-keyring."`
}

// aptHelper is the program with which apt downloads files, using the transports and proxies that apt is configured
// for.
const aptHelper = "/usr/lib/apt/apt-helper"

func (k *Key) validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: "key." + argument, Problem: problem, Want: want}
	}
	given := 0
	for _, s := range []string{k.Source, k.Content, k.URL} {
		if s != "" {
			given++
		}
	}
	switch {
	case !path.IsAbs(k.Path) || path.Clean(k.Path) != k.Path || strings.ContainsAny(k.Path, " \t\n"):
		return fault("path", fmt.Sprintf("%q is not an absolute path without blanks", k.Path), "expected a path such as /usr/share/keyrings/NAME.gpg")
	case path.Ext(k.Path) != ".gpg" && path.Ext(k.Path) != ".asc":
		return fault("path", fmt.Sprintf("apt would ignore %q", k.Path), "expected the extension .gpg for a binary key, .asc for an armored one")
	case given != 1:
		return fault("source", "a key has exactly one source", "expected one of source, content and url")
	case k.URL != "" && k.SHA256 == "" && k.SHA512 == "":
		return fault("sha256", "is missing", "expected a checksum, so that only the key that you mean is trusted")
	case k.URL != "" && !strings.HasPrefix(k.URL, "http://") && !strings.HasPrefix(k.URL, "https://"):
		return fault("url", fmt.Sprintf("%q is not a URL", k.URL), "https://…")
	case k.UnlessPackage != "" && !packagePattern.MatchString(k.UnlessPackage):
		return fault("unless_package", fmt.Sprintf("%q is not the name of a package", k.UnlessPackage), "expected a name such as proxmox-archive-keyring")
	}
	for argument, sum := range map[string]struct {
		text  string
		bytes int
	}{"sha256": {k.SHA256, sha256.Size}, "sha512": {k.SHA512, sha512.Size}} {
		if raw, err := hex.DecodeString(sum.text); sum.text != "" && (err != nil || len(raw) != sum.bytes) {
			return fault(argument, "is not a valid checksum", fmt.Sprintf("expected %d hexadecimal digits", 2*sum.bytes))
		}
	}
	return nil
}

// verify checks a key against the checksums given.
func (k *Key) verify(key []byte) error {
	for _, check := range []struct{ name, want, is string }{
		{"SHA-256", k.SHA256, sum256(key)},
		{"SHA-512", k.SHA512, sum512(key)},
	} {
		if check.want != "" && !strings.EqualFold(check.want, check.is) {
			return fmt.Errorf("the key has %s checksum %s, expected %s: it is not the key that you meant; nothing was written", check.name, check.is, check.want)
		}
	}
	return nil
}

func sum256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
func sum512(b []byte) string { s := sha512.Sum512(b); return hex.EncodeToString(s[:]) }

func (k *Key) plan(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if k.UnlessPackage != "" {
		owner, err := observe.Packages.Observe(ctx, h, k.UnlessPackage)
		if err != nil || owner.Installed() {
			return nil, err
		}
	}
	observe.Files.Want(h, k.Path)
	if k.URL != "" {
		return k.planDownload(ctx, h)
	}
	key, err := k.bytes()
	if err != nil {
		return nil, err
	}
	return conffile.Write(ctx, h, k.Path, string(key), "install key "+k.Path)
}

// bytes returns the verified key from the controller. Base64 is decoded if the checksum is that of the decoded key, or
// if nothing else makes sense.
func (k *Key) bytes() ([]byte, error) {
	if k.Source != "" {
		key, err := localfile.ReadAll(k.Source)
		if err != nil {
			return nil, fmt.Errorf("reading the key from the controller: %w", err)
		}
		return key, k.verify(key)
	}
	key := []byte(k.Content)
	if bytes.HasPrefix(bytes.TrimSpace(key), []byte("-----BEGIN ")) {
		return key, k.verify(key)
	}
	binary, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(k.Content), ""))
	if err != nil {
		return nil, fmt.Errorf("content is neither an armored key nor base64: %w; use filebase64 for a binary key", err)
	}
	return binary, k.verify(binary)
}

// planDownload makes the host download the key next to its destination, check its checksum, and only then move it
// there: a wrong key is never where apt looks.
func (k *Key) planDownload(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	fresh := k.Path + ".download"
	observe.Files.Want(h, fresh)
	observe.WantReplaceable(h, k.Path)
	now, err := observe.Checksums.Observe(ctx, h, k.Path)
	if err != nil {
		return nil, err
	}
	if k.matches(now) {
		return nil, nil
	}
	if err := required.Settled(ctx, h, k.Path, "and therefore the directory to which root would write the key", "use a path such as /usr/share/keyrings/NAME.gpg"); err != nil {
		return nil, err
	}
	// A file left by an interrupted run would be taken for the beginning of the download.
	steps, err := conffile.Remove(ctx, h, fresh, "remove "+fresh+", left by an interrupted download")
	if err != nil {
		return nil, err
	}
	sum := "SHA256:" + strings.ToLower(k.SHA256)
	if k.SHA512 != "" {
		sum = "SHA512:" + strings.ToLower(k.SHA512)
	}
	readable := fs.FileMode(0o644)
	expect := []observe.Expectation{
		observe.Checksums.Expect(k.Path, observe.Checksum{SHA256: strings.ToLower(k.SHA256), SHA512: strings.ToLower(k.SHA512)}),
		outdates(h),
		observe.Files.Unknown(k.Path, "the host has not downloaded it yet"),
		observe.Sums.Unknown(k.Path, "the host has not downloaded it yet"),
		observe.Paths.Expect(k.Path, true),
	}
	return append(steps,
		modules.Step{
			Summary: "download key from " + k.URL,
			Action: modules.Run{
				Argv: []string{aptHelper, "download-file", k.URL, fresh, sum}, Env: environment(), Limit: 5 * time.Minute, Fetches: true,
				Explain: func(_ int, stdout, stderr []byte) error { return k.explain(stdout, stderr) },
			},
			Expect: []observe.Expectation{observe.Files.Unknown(fresh, "the host has not downloaded it yet")},
			Exact:  true,
		},
		modules.Step{
			Summary: "let apt's sandbox user read the key",
			Action:  modules.SetAttributes{Path: fresh, Mode: &readable, Owner: "root", Group: "root"},
		},
		modules.Step{
			Summary: "install key " + k.Path,
			Action:  modules.Run{Argv: []string{"mv", "-f", fresh, k.Path}, Limit: time.Minute, Brief: true},
			Expect:  expect,
			Exact:   true,
		},
	), nil
}

// matches reports whether a file has all the checksums given.
func (k *Key) matches(now observe.Checksum) bool {
	return now != observe.Checksum{} &&
		(k.SHA256 == "" || strings.EqualFold(now.SHA256, k.SHA256)) &&
		(k.SHA512 == "" || strings.EqualFold(now.SHA512, k.SHA512))
}

func (k *Key) explain(stdout, stderr []byte) error {
	text := string(stdout) + string(stderr)
	switch {
	case strings.Contains(text, "Hash Sum mismatch"):
		return fmt.Errorf("%s does not match the checksum in the playbook: it is not the key that you meant; nothing was installed", k.URL)
	case strings.Contains(text, "ertificate"):
		return fmt.Errorf("the host does not trust the certificate of %s: check that ca-certificates is installed and that the clock is right, or copy the key from the controller with source", host(k.URL))
	}
	return explain(0, nil, stdout, stderr)
}
