package user

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// authorize plans the account's authorized_keys, following ~/.ssh/authorized_keys if that is a link.
func (u *User) authorize(ctx context.Context, h modules.Host, account observe.User) ([]modules.Step, error) {
	wanted := u.keys()
	if len(wanted) == 0 && !u.KeysExclusive {
		return nil, nil
	}
	dir := path.Join(account.Home, ".ssh")
	observe.Files.Want(h, account.Home, dir)
	at, now, err := observe.Follow(ctx, h, path.Join(dir, "authorized_keys"))
	if err != nil {
		return nil, err
	}
	if now.Exists() && (now.Type != observe.Regular || now.Truncated) {
		return nil, fmt.Errorf("%s is a %s of %d bytes, expected a small regular file", at, now.Type, now.Size)
	}
	shared := strings.HasPrefix(at, "/etc/pve/")
	if u.KeysExclusive && shared {
		return nil, fmt.Errorf("keys_exclusive: %s is shared by all nodes of the cluster, which keep their own keys there; remove individual keys with authorized_key blocks", at)
	}
	steps, err := u.sshDirectory(ctx, h, dir, at, account)
	if err != nil {
		return nil, err
	}
	text := conffile.EditLines(string(now.Content), func(text string) string { return editKeys(text, wanted, u.KeysExclusive) })
	if text == string(now.Content) {
		if !now.Exists() || shared {
			return steps, nil
		}
		mended := readable(at, now, account)
		if len(mended) > 0 {
			if err := observe.CheckNames(ctx, h, at, now); err != nil {
				return nil, err
			}
		}
		return append(steps, mended...), nil
	}
	file := observe.File{Type: observe.Regular, Mode: 0o600, Owner: account.Name, Group: account.Group}
	write := modules.WriteFile{Path: at, Content: []byte(text)}
	switch {
	case now.Exists() && !shared:
		file.Mode, file.Owner, file.Group = now.Mode, now.Owner, now.Group
		if strict(now, account) != "" {
			own := owned(now, account)
			file.Mode, file.Owner, file.Group = own.Mode, own.Owner, own.Group
			write.Mode, write.Owner, write.Group = file.Mode, file.Owner, file.Group
		}
	case now.Exists():
		file.Mode, file.Owner, file.Group = now.Mode, now.Owner, now.Group
	case shared: // the cluster file system determines mode and owner
		file.Group = "www-data"
	default:
		write.Mode, write.Owner, write.Group = file.Mode, file.Owner, file.Group
	}
	file.Size, file.Content = int64(len(text)), write.Content
	return append(steps, modules.Step{
		Summary: fmt.Sprintf("update the keys of %s in %s", account.Name, at) + now.OthersKeep(),
		Action:  write,
		Diff:    &modules.Diff{Subject: at, Before: string(now.Content), After: text},
		Expect:  observe.Placed(h, at, file),
		Wide:    shared,
	}), nil
}

// sshDirectory creates ~/.ssh if it is missing. If authorized_keys is a link that leads elsewhere, the target's
// directory must exist.
func (u *User) sshDirectory(ctx context.Context, h modules.Host, dir, at string, account observe.User) ([]modules.Step, error) {
	if path.Dir(at) != dir {
		_, place, err := observe.Follow(ctx, h, path.Dir(at))
		if err != nil {
			return nil, err
		}
		if place.Type != observe.Directory {
			return nil, fmt.Errorf("%s/authorized_keys is a link to %s, whose directory does not exist; on a cluster member, check that pve-cluster is running", dir, at)
		}
		return nil, nil
	}
	place, now, err := observe.Follow(ctx, h, dir)
	if err != nil {
		return nil, err
	}
	if now.Exists() {
		if now.Type != observe.Directory {
			return nil, fmt.Errorf("%s is a %s, expected a directory", dir, now.Type)
		}
		return readable(place, now, account), nil
	}
	made := observe.File{Type: observe.Directory, Mode: 0o700, Owner: account.Name, Group: account.Group}
	return []modules.Step{{
		Summary: "create directory " + dir,
		Action:  modules.MakeDir{Path: dir, Mode: made.Mode, Owner: made.Owner, Group: made.Group},
		Expect:  observe.Placed(h, dir, made),
	}}, nil
}

// strict returns why sshd does not use the file or directory: it belongs to somebody other than root and the account,
// others may write to it (StrictModes of sshd_config(5)), or the account, as which sshd reads, may not read it. It is
// empty if sshd does use it.
func strict(f observe.File, account observe.User) string {
	switch {
	case f.Owner != account.Name && f.Owner != "root":
		return "belongs to " + f.Owner
	case f.Mode&0o022 != 0:
		return fmt.Sprintf("has mode %04o", uint32(f.Mode))
	}
	need, who := fs.FileMode(0o4), 0 // to read a file, or to enter a directory
	if f.Type == observe.Directory {
		need = 0o1
	}
	switch {
	case account.Name == "root":
		return ""
	case f.Owner == account.Name:
		who = 6
	case f.Group == account.Group || slices.Contains(account.Groups, f.Group):
		who = 3
	}
	if f.Mode>>who&need == 0 {
		return fmt.Sprintf("has mode %04o %s:%s", uint32(f.Mode), f.Owner, f.Group)
	}
	return ""
}

// owned returns the file with attributes that sshd accepts as the account's own.
func owned(f observe.File, account observe.User) observe.File {
	f.Mode, f.Owner, f.Group = f.Mode&^0o022|0o600, account.Name, account.Group
	if f.Type == observe.Directory {
		f.Mode |= 0o100
	}
	return f
}

// readable plans to make a file or directory acceptable to sshd.
func readable(at string, now observe.File, account observe.User) []modules.Step {
	why := strict(now, account)
	if why == "" {
		return nil
	}
	after := owned(now, account)
	return []modules.Step{{
		Summary: fmt.Sprintf("let sshd read %s (%04o %s:%s), which %s", at, uint32(after.Mode), after.Owner, after.Group, why),
		Action:  modules.SetAttributes{Path: at, Mode: &after.Mode, Owner: after.Owner, Group: after.Group},
		Diff: &modules.Diff{
			Subject: at, Before: fmt.Sprintf("%04o %s:%s", uint32(now.Mode), now.Owner, now.Group),
			After: fmt.Sprintf("%04o %s:%s", uint32(after.Mode), after.Owner, after.Group),
		},
		Expect: []observe.Expectation{observe.Files.Expect(at, after)},
	}}
}

// homeNote explains that sshd rejects the account's keys because of its home directory, which is not changed because
// other programs may need it as it is. It is empty if sshd accepts them, or if that is not known.
func (u *User) homeNote(ctx context.Context, h modules.Host, account observe.User) (string, error) {
	if len(u.keys()) == 0 {
		return "", nil
	}
	home, err := observe.Files.Observe(ctx, h, account.Home)
	if observe.IsUnknown(err) || err == nil && home.Type != observe.Directory {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if why := strict(home, account); why != "" {
		return fmt.Sprintf("sshd does not accept the keys of %s: home directory %s %s; it must belong to %s or root, and nobody else may have write permission (StrictModes)", account.Name, account.Home, why, account.Name), nil
	}
	return "", nil
}

// editKeys returns the content of authorized_keys with the keys as desired. The first line of a key is replaced by the
// desired line, in place; further lines with the same key are removed. Comments, and lines that are not keys, are
// kept.
func editKeys(text string, wanted []wantedKey, exclusive bool) string {
	byID := map[string]wantedKey{}
	for _, k := range wanted {
		byID[keyID(k.line)] = k
	}
	var lines []string
	placed := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
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
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}
