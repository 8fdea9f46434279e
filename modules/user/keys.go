package user

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// authorize plans the account's authorized_keys, at the file that ~/.ssh/authorized_keys leads to.
func (u *User) authorize(ctx context.Context, h modules.Host, account observe.User) ([]modules.Step, error) {
	wanted := u.keys()
	if len(wanted) == 0 && !u.KeysExclusive {
		return nil, nil
	}
	dir := path.Join(account.Home, ".ssh")
	observe.Files.Want(h, dir)
	at, now, err := observe.Follow(ctx, h, path.Join(dir, "authorized_keys"))
	if err != nil {
		return nil, err
	}
	if now.Exists() && (now.Type != observe.Regular || now.Truncated) {
		return nil, fmt.Errorf("%s is a %s of %d bytes, expected a small regular file", at, now.Type, now.Size)
	}
	shared := strings.HasPrefix(at, "/etc/pve/")
	if u.KeysExclusive && shared {
		return nil, fmt.Errorf("keys_exclusive: %s is shared by all nodes of the cluster, which keep their own keys there; remove single keys with authorized_key blocks", at)
	}
	text := editKeys(string(now.Content), wanted, u.KeysExclusive)
	if text == string(now.Content) {
		return nil, nil
	}
	steps, err := u.sshDirectory(ctx, h, dir, at, account)
	if err != nil {
		return nil, err
	}
	file := observe.File{Type: observe.Regular, Mode: 0o600, Owner: account.Name, Group: account.Group}
	write := modules.WriteFile{Path: at, Content: []byte(text)}
	switch {
	case now.Exists():
		file.Mode, file.Owner, file.Group = now.Mode, now.Owner, now.Group
	case shared: // the cluster file system decides on mode and owner
		file.Group = "www-data"
	default:
		write.Mode, write.Owner, write.Group = file.Mode, file.Owner, file.Group
	}
	file.Size, file.Content = int64(len(text)), write.Content
	return append(steps, modules.Step{
		Summary: fmt.Sprintf("bring the keys of %s up to date in %s", account.Name, at),
		Action:  write,
		Diff:    &modules.Diff{Subject: at, Before: string(now.Content), After: text},
		Expect:  observe.Placed(h, at, file),
		Wide:    shared,
	}), nil
}

// sshDirectory makes ~/.ssh where it is missing. A link that leads elsewhere needs its place to exist.
func (u *User) sshDirectory(ctx context.Context, h modules.Host, dir, at string, account observe.User) ([]modules.Step, error) {
	if path.Dir(at) != dir {
		_, place, err := observe.Follow(ctx, h, path.Dir(at))
		if err != nil {
			return nil, err
		}
		if place.Type != observe.Directory {
			return nil, fmt.Errorf("%s/authorized_keys leads to %s, whose directory is not there; on a cluster member, see whether pve-cluster runs", dir, at)
		}
		return nil, nil
	}
	_, now, err := observe.Follow(ctx, h, dir)
	if err != nil {
		return nil, err
	}
	if now.Exists() {
		if now.Type != observe.Directory {
			return nil, fmt.Errorf("%s is a %s, expected a directory", dir, now.Type)
		}
		return nil, nil
	}
	made := observe.File{Type: observe.Directory, Mode: 0o700, Owner: account.Name, Group: account.Group}
	return []modules.Step{{
		Summary: "make directory " + dir,
		Action:  modules.MakeDir{Path: dir, Mode: made.Mode, Owner: made.Owner, Group: made.Group},
		Expect:  observe.Placed(h, dir, made),
	}}, nil
}

// editKeys is the content of authorized_keys with the keys as asked for. The first line of a key
// becomes the line asked for, where it stands; further lines of the same key go. Comments and what
// is no key stay.
func editKeys(text string, wanted []wantedKey, exclusive bool) string {
	byID := map[string]wantedKey{}
	for _, k := range wanted {
		byID[keyID(k.line)] = k
	}
	var lines []string
	placed := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		id := keyID(line)
		k, asked := byID[id]
		switch {
		case id == "":
			lines = append(lines, line)
		case asked && k.state == present:
			if !placed[id] {
				lines = append(lines, k.line)
			}
			placed[id] = true
		case asked, exclusive:
		default:
			lines = append(lines, line)
		}
	}
	for _, k := range wanted {
		if k.state == present && !placed[keyID(k.line)] {
			lines = append(lines, k.line)
		}
	}
	if slices.Equal(lines, splitLines(text)) {
		return text
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func splitLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return lines
}
