package observe

import (
	"context"
	"fmt"
	"path"
)

// Replaceable returns who, besides root, could put something else at an absolute path: the owner of a directory on the
// way to it, or whoever may write to that directory. It is empty if nobody could. In root's directories with the sticky
// bit, files of root's cannot be replaced, and neither can files that root creates there. Symbolic links on the way
// count together with their targets.
//
// A program that resolves a path itself, such as mount(8), must not be given a replaceable path: between the
// observation and the program's run, the path could be made to lead elsewhere.
func Replaceable(ctx context.Context, h *Host, name string) (by string, err error) {
	WantReplaceable(h, name)
	return replaceable(ctx, h, name, 0)
}

// WantReplaceable announces what Replaceable reads for a path.
func WantReplaceable(h *Host, name string) { Files.Want(h, append(above([]string{name}), name)...) }

func replaceable(ctx context.Context, h *Host, name string, links int) (by string, err error) {
	if name == "/" {
		return "", nil
	}
	if links > maxLinks {
		return "", fmt.Errorf("%s: too many levels of symbolic links", name)
	}
	parent := path.Dir(name)
	if by, err := replaceable(ctx, h, parent, links); err != nil || by != "" {
		return by, err
	}
	_, dir, err := Follow(ctx, h, parent)
	if err != nil {
		return "", err
	}
	f, err := Files.Observe(ctx, h, name)
	if err != nil {
		return "", err
	}
	if by := dir.writers(); by != "" {
		kept := dir.Owner == "root" && dir.Mode&0o1000 != 0 && (!f.Exists() || f.Owner == "root")
		if !kept {
			return by, nil
		}
	}
	if f.Type == Symlink {
		return replaceable(ctx, h, f.target(name), links+1)
	}
	return "", nil
}

// writers returns who besides root may change names in a directory. It is empty if nobody may.
func (f File) writers() string {
	switch {
	case f.Type != Directory:
		return ""
	case f.Owner != "root":
		return f.Owner
	case f.Mode&0o002 != 0:
		return "every user"
	case f.Mode&0o020 != 0:
		return "the group " + f.Group
	}
	return ""
}

// CheckNames returns an error if mode and owner of a file must not be changed: the file has several names (hard links),
// and somebody could have made one of them for a file that is not meant. The host checks this again when it carries out
// the change.
func CheckNames(ctx context.Context, h *Host, name string, f File) error {
	if f.Type != Regular || f.Others == 0 {
		return nil
	}
	by, err := Replaceable(ctx, h, name)
	if err != nil || by == "" {
		return err
	}
	return fmt.Errorf("%s on %s has further names (hard links), and %s may have made it one of a file that is not meant: its mode and owner are not changed; remove it, or let the task act as that user", name, h.Name(), by)
}
