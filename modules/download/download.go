// Package download implements the module that makes hosts fetch files and archives from a URL.
package download

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "download",
	Aliases: []string{"get_url", "unarchive", "wget", "curl"},
	Summary: "A file from a URL, or the contents of an archive from there",
	Doc: `The host itself fetches the file with curl or wget. A checksum is required: it shows whether the file is already
there, and that it was not modified in transit. The file is moved into place atomically, after it is complete and verified.

With ` + "`unpack = true`" + ` the URL is an archive (tar in any compression that the host's tar supports, or zip), and the path a directory for
its contents. The directory belongs to the archive: another checksum replaces the whole directory, including anything added to it, which ` + "`--allow=destroy`" + `
must permit. So give each release its own directory, such as /opt/tool-1.2, with a symbolic link to the current one. A directory that
was created otherwise is refused. Changes within an unpacked directory are not noticed; a file .hlplay-download in it records which
archive it came from.

A directory that another user may write to is refused, because that user could replace the file while it is fetched; let the task act as that user.`,
	Example: `task "a tool that Debian does not have" {
  download {
    url    = "https://example.org/tool-1.2"
    path   = "/usr/local/bin/tool"
    sha256 = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    mode   = "0755"
  }
}

task "and one that comes as an archive" {
  download {
    url    = "https://example.org/suite-3.4.tar.gz"
    path   = "/opt/suite-3.4"
    sha256 = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
    unpack = true
    strip  = 1
  }
}`,
	Result: result{},
	New:    func() modules.Module { return &download{} },
}

// result is what the module registers.
type result struct {
	Path string `cty:"path" doc:"Path of the file or the directory."`
}

// download holds the module's arguments.
type download struct {
	URL    string      `hcl:"url" doc:"URL to fetch: https://… or http://…."`
	Path   string      `hcl:"path" doc:"Absolute path of the file, or of the directory to unpack into. Its parent must exist."`
	SHA256 string      `hcl:"sha256,optional" doc:"SHA-256 checksum of the download, in hexadecimal. Either this or sha512 is required."`
	SHA512 string      `hcl:"sha512,optional" doc:"SHA-512 checksum of the download, in hexadecimal."`
	Mode   fs.FileMode `hcl:"mode,optional" default:"\"0644\"" doc:"Permission bits of the file; not for archives."`
	Owner  string      `hcl:"owner,optional" doc:"Name of the owner; by default the acting user."`
	Group  string      `hcl:"group,optional" doc:"Name of the group; by default that of the acting user."`
	Unpack bool        `hcl:"unpack,optional" doc:"Whether to unpack the download as an archive."`
	Strip  int         `hcl:"strip,optional" doc:"How many leading directories to strip from the names in a tar archive, usually 1."`
}

// marker is the file in an unpacked directory that records the archive it came from.
const marker = ".hlplay-download"

// Validate implements modules.Validator.
func (d *download) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(d.URL, " \t\r\n\"\\"):
		return fault("url", "it is not a valid URL", "expected a URL such as https://example.org/tool-1.2.tar.gz, with blanks and quotes written as %20 and %22")
	case !path.IsAbs(d.Path) || path.Clean(d.Path) != d.Path || strings.ContainsRune(d.Path, 0) || path.Dir(d.Path) == "/" && d.Unpack || d.Path == "/":
		return fault("path", fmt.Sprintf("%q is not the absolute path of a file, or of a directory below another", d.Path), "expected a path such as /usr/local/bin/tool or /opt/tool-1.2")
	case d.Unpack && observe.IsSystemDirectory(d.Path):
		return fault("path", d.Path+" is part of the system", "name a directory for this archive only, such as /opt/tool-1.2")
	case d.SHA256 == "" && d.SHA512 == "":
		return fault("sha256", "is missing", "give sha256 or sha512, so that only the file that you mean is accepted; `curl -sL URL | sha256sum` prints it")
	case d.SHA256 != "" && d.SHA512 != "":
		return fault("sha512", "sha256 is given, too", "give only one of them")
	case d.Mode&^0o7777 != 0:
		return fault("mode", fmt.Sprintf("%o is not a valid mode", uint32(d.Mode)), "at most 7777")
	case d.Strip < 0 || d.Strip > 0 && (!d.Unpack || d.zipped()):
		return fault("strip", "it applies only to a tar archive that is unpacked", "leave it out")
	}
	for argument, sum := range map[string]struct {
		text  string
		bytes int
	}{"sha256": {d.SHA256, sha256.Size}, "sha512": {d.SHA512, sha512.Size}} {
		if raw, err := hex.DecodeString(sum.text); sum.text != "" && (err != nil || len(raw) != sum.bytes) {
			return fault(argument, "is not a valid checksum", fmt.Sprintf("expected %d hexadecimal digits", 2*sum.bytes))
		}
	}
	for argument, name := range map[string]string{"owner": d.Owner, "group": d.Group} {
		if name == "" {
			continue
		}
		if err := observe.CheckKnownName(name); err != nil {
			return fault(argument, err.Error(), "")
		}
	}
	return nil
}

// zipped reports whether the URL names a zip archive.
func (d *download) zipped() bool {
	u, err := url.Parse(d.URL)
	return err == nil && strings.HasSuffix(strings.ToLower(u.Path), ".zip")
}

// secrets returns the password in the URL, in the forms in which it may be shown.
func (d *download) secrets() []string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return nil
	}
	password, given := u.User.Password()
	if !given || password == "" {
		return nil
	}
	_, written, _ := strings.Cut(u.User.String(), ":")
	return slices.Compact([]string{password, written})
}

// sum returns the desired checksum, and the program that computes it.
func (d *download) sum() (sum, program string) {
	if d.SHA512 != "" {
		return strings.ToLower(d.SHA512), "sha512sum"
	}
	return strings.ToLower(d.SHA256), "sha256sum"
}

// matches reports whether a file has the desired checksum.
func (d *download) matches(is observe.Checksum) bool {
	sum, program := d.sum()
	if program == "sha512sum" {
		return is.SHA512 == sum
	}
	return is.SHA256 == sum
}

// Want implements modules.Announcer.
func (d *download) Want(h modules.Host) {
	if d.Path == "" {
		return
	}
	places.Want(h, d.Path)
	observe.WantReplaceable(h, d.probe())
	if d.Unpack {
		observe.Files.Want(h, path.Join(d.Path, marker))
	} else {
		observe.Checksums.Want(h, d.Path)
	}
	required.WantAccount(h, d.Owner, d.Group)
}

// probe returns a path in the directory of the file that does not exist.
func (d *download) probe() string { return path.Join(path.Dir(d.Path), ".hlplay.download") }

// Plan implements modules.Module.
func (d *download) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	d.Want(h)
	s := &state{download: d, host: h}
	var err error
	if s.now, err = places.Observe(ctx, h, d.Path); err != nil {
		return modules.Plan{}, err
	}
	plan := s.file
	if d.Unpack {
		plan = s.directory
	}
	steps, err := plan(ctx)
	return modules.Plan{Steps: steps, Data: modules.Data(result{Path: d.Path}), Secrets: d.secrets()}, err
}
