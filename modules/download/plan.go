package download

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// limit limits the duration of a download.
const limit = time.Hour

// state is the observed state of the path.
type state struct {
	*download
	host modules.Host
	now  place
}

func (s *state) file(ctx context.Context) ([]modules.Step, error) {
	switch s.now.Type {
	case observe.Directory:
		return nil, fmt.Errorf("%s is a directory on %s, expected a file: append the file name, or unpack an archive with unpack = true", s.Path, s.host.Name())
	case observe.Symlink:
		return nil, fmt.Errorf("%s is a symbolic link on %s: give the path of its target, or remove it", s.Path, s.host.Name())
	case observe.Other:
		return nil, fmt.Errorf("%s is a special file (a device, socket or pipe) on %s, expected a regular file", s.Path, s.host.Name())
	}
	is, err := observe.Checksums.Observe(ctx, s.host, s.Path)
	if err != nil {
		return nil, err
	}
	if s.matches(is) {
		return s.attributes(ctx)
	}
	// In check mode, only the checksum and the attributes are known.
	coming := "the host has not downloaded it yet"
	after := observe.File{Type: observe.Regular, Mode: s.Mode}
	expect := append(observe.Placed(s.host, s.Path, after),
		observe.Files.Unknown(s.Path, coming), observe.Sums.Unknown(s.Path, coming),
		observe.Checksums.Expect(s.Path, observe.Checksum{SHA256: strings.ToLower(s.SHA256), SHA512: strings.ToLower(s.SHA512)}),
		places.Expect(s.Path, place{Type: observe.Regular, Mode: s.Mode, Owner: s.Owner, Group: s.Group}))
	verb := "download"
	if s.now.Type == observe.Regular {
		verb = "replace what is there: download"
	}
	return s.fetch(ctx, fmt.Sprintf("%s %s to %s", verb, s.URL, s.Path), 0, expect)
}

// attributes returns the step that sets the mode and ownership if they differ.
func (s *state) attributes(ctx context.Context) ([]modules.Step, error) {
	after := s.now
	var mode *fs.FileMode
	var what []string
	if s.Mode != s.now.Mode {
		mode, after.Mode = &s.Mode, s.Mode
		what = append(what, fmt.Sprintf("mode %04o", uint32(s.Mode)))
	}
	if s.Owner != "" && s.Owner != s.now.Owner && s.now.Owner != "" {
		after.Owner = s.Owner
		what = append(what, "owner "+s.Owner)
	}
	if s.Group != "" && s.Group != s.now.Group && s.now.Group != "" {
		after.Group = s.Group
		what = append(what, "group "+s.Group)
	}
	if len(what) == 0 {
		return nil, nil
	}
	if err := required.Account(ctx, s.host, "owner", s.Owner, "group", s.Group); err != nil {
		return nil, err
	}
	return []modules.Step{{
		Summary: fmt.Sprintf("set %s of %s", strings.Join(what, ", "), s.Path),
		Action:  modules.SetAttributes{Path: s.Path, Mode: mode, Owner: s.Owner, Group: s.Group},
		Expect:  []observe.Expectation{places.Expect(s.Path, after), observe.Files.Unknown(s.Path, "an earlier task changes its mode or owner")},
	}}, nil
}

func (s *state) directory(ctx context.Context) ([]modules.Step, error) {
	tag := path.Join(s.Path, marker)
	file, err := observe.Files.Observe(ctx, s.host, tag)
	if err != nil {
		return nil, err
	}
	sum, _ := s.sum()
	content := fmt.Sprintf("%s %d\n", sum, s.Strip)
	var risk modules.Risk
	summary := fmt.Sprintf("download %s and unpack it to %s", s.URL, s.Path)
	switch {
	case s.now.Type == observe.Absent:
	case s.now.Type != observe.Directory:
		return nil, fmt.Errorf("%s is a %s on %s, expected the directory of the archive: remove it, or name another path", s.Path, s.now.Type, s.host.Name())
	case file.Type != observe.Regular:
		return nil, fmt.Errorf("%s exists on %s and was not created by a download (it has no %s): name another directory, or remove this one", s.Path, s.host.Name(), marker)
	case string(file.Content) == content:
		return nil, nil
	default:
		risk = modules.Destroys
		summary = fmt.Sprintf("replace the contents of %s with those of %s", s.Path, s.URL)
	}
	owner, group, err := s.owners(ctx)
	if err != nil {
		return nil, err
	}
	below := s.Path + "/"
	coming := "the contents of the archive are known once it is unpacked"
	expect := append(observe.Placed(s.host, s.Path, observe.File{Type: observe.Directory, Mode: 0o755}),
		observe.Files.Unknown(s.Path, coming), observe.Dirs.Unknown(s.Path, coming),
		observe.Expectation{Match: func(k observe.Key) bool { return strings.HasPrefix(k.Name, below) }, Unknown: coming},
		observe.Files.Expect(tag, observe.File{Type: observe.Regular, Mode: 0o644, Owner: owner, Group: group, Size: int64(len(content)), Content: []byte(content)}),
		places.Expect(s.Path, place{Type: observe.Directory, Mode: 0o755, Owner: s.Owner, Group: s.Group}))
	return s.fetch(ctx, summary, risk, expect)
}

// owners returns the owner and group that the file will have.
func (s *state) owners(ctx context.Context) (owner, group string, err error) {
	owner, group = s.Owner, s.Group
	if owner != "" && group != "" {
		return owner, group, nil
	}
	actor, primary, err := required.Actor(ctx, s.host)
	return cmp.Or(owner, actor), cmp.Or(group, primary), err
}

// fetchScript fetches a file, verifies it and puts it in place.
//
//go:embed fetch.sh
var fetchScript string

// fetch returns the step that runs fetchScript.
func (s *state) fetch(ctx context.Context, summary string, risk modules.Risk, expect []observe.Expectation) ([]modules.Step, error) {
	if err := s.settled(ctx); err != nil {
		return nil, err
	}
	client, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	if err := required.Account(ctx, s.host, "owner", s.Owner, "group", s.Group); err != nil {
		return nil, err
	}
	stdin := s.URL + "\n"
	if client == "curl" {
		stdin = fmt.Sprintf("url = %q\n", s.URL)
	}
	unpack := "no"
	if s.Unpack {
		unpack = "tar"
		if s.zipped() {
			unpack = "zip"
		}
		program := map[string]string{"tar": "tar", "zip": "unzip"}[unpack]
		if err := required.Program(ctx, s.host, program, "unpacking "+s.Path); err != nil {
			return nil, err
		}
	}
	owner := s.Owner
	if s.Group != "" {
		owner += ":" + s.Group
	}
	sum, program := s.sum()
	return []modules.Step{{
		Summary: summary,
		Risk:    risk,
		Action: modules.Run{
			Argv:  []string{"sh", "-c", fetchScript, "sh", client, s.Path, program, sum, fmt.Sprintf("%04o", uint32(s.Mode)), owner, unpack, strconv.Itoa(s.Strip)},
			Stdin: []byte(stdin), Limit: limit, Explain: s.explain,
		},
		Expect: expect,
		Exact:  true,
	}}, nil
}

// settled rejects a directory in which another user could replace what is fetched.
func (s *state) settled(ctx context.Context) error {
	dir := path.Dir(s.Path)
	_, there, err := observe.Follow(ctx, s.host, dir)
	switch {
	case err != nil:
		return err
	case !there.Exists():
		return fmt.Errorf("%s has no directory %s: create it in an earlier task, with file { state = \"directory\" }", s.host.Name(), dir)
	case there.Type != observe.Directory:
		return fmt.Errorf("%s is a %s on %s, not a directory", dir, there.Type, s.host.Name())
	}
	by, err := observe.Replaceable(ctx, s.host, s.probe())
	if err != nil || by == "" {
		return err
	}
	if actor, _, err := required.Actor(ctx, s.host); err != nil || by == actor {
		return err
	}
	return fmt.Errorf("%s can replace files in %s on %s, including what root downloads there: name a directory that only root can write to, or let the task act as that user",
		by, dir, s.host.Name())
}

// client returns the program that the host downloads with.
func (s *state) client(ctx context.Context) (string, error) {
	observe.Programs.Want(s.host, "curl", "wget")
	for _, name := range []string{"curl", "wget"} {
		there, err := observe.Programs.Observe(ctx, s.host, name)
		if err != nil || there {
			return name, err
		}
	}
	if err := required.Program(ctx, s.host, "curl", "the download"); observe.IsUnknown(err) {
		return "", err
	}
	return "", fmt.Errorf("%s has neither curl nor wget: install one in an earlier task, with apt { packages = [\"curl\"] }", s.host.Name())
}

// explain says why nothing was moved into place.
func (s *state) explain(exit int, _, stderr []byte) error {
	said := strings.TrimSpace(string(stderr))
	sum, program := s.sum()
	switch {
	case exit == 65 && strings.Contains(said, "hlplay: checksum "):
		_, is, _ := strings.Cut(observe.LastLine(stderr), "checksum ")
		return fmt.Errorf("the file from %s has %s checksum %s, expected %s: it is not the file that the playbook means; nothing was installed", s.URL, map[string]string{"sha256sum": "SHA-256", "sha512sum": "SHA-512"}[program], is, sum)
	case exit == 66 && strings.HasSuffix(said, "hlplay: empty"):
		return errors.New("nothing is left of the archive: strip removes too many directories; nothing was installed")
	case strings.Contains(said, "ertificate"):
		return fmt.Errorf("the host does not trust the certificate of %s: check that ca-certificates is installed and that the clock is right: %s", s.URL, observe.LastLine(stderr))
	case said == "":
		return fmt.Errorf("downloading %s failed with exit code %d and no message; nothing was installed", s.URL, exit)
	}
	return fmt.Errorf("%s; nothing was installed at %s", said, s.Path)
}
