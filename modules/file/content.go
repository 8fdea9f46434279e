package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"hlplay/engine/localfile"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// wanted is the desired content of a file. If source is larger than observe.FileLimit, content is only its beginning.
type wanted struct {
	content []byte
	source  *remote.Source
}

func inMemory(content []byte) wanted { return wanted{content: content} }

func (w wanted) size() int64 {
	if w.source != nil {
		return w.source.Size
	}
	return int64(len(w.content))
}

// sum returns the SHA-256 checksum in hexadecimal, for which a source is read.
func (w wanted) sum() (string, error) {
	s := sha256.Sum256(w.content)
	if w.source != nil {
		var err error
		if s, err = w.source.Sum(); err != nil {
			return "", fmt.Errorf("source: %w", err)
		}
	}
	return hex.EncodeToString(s[:]), nil
}

// written returns the action that writes the content.
func (w wanted) written(a modules.WriteFile) modules.WriteFile {
	if w.source != nil {
		a.Source = w.source
	} else {
		a.Content = w.content
	}
	return a
}

// read returns the content of a file on the controller. Of a large file only the beginning is kept, unless edits or a
// validator need all of it.
func (f *File) read(edits bool) (wanted, error) {
	file, err := localfile.Open(f.Source)
	if err != nil {
		return wanted{}, err
	}
	defer file.Close()
	if edits || f.Checker != nil {
		content, err := io.ReadAll(file)
		return inMemory(content), err
	}
	content, err := io.ReadAll(io.LimitReader(file, observe.FileLimit+1))
	if err != nil || len(content) <= observe.FileLimit {
		return inMemory(content), err
	}
	source, err := remote.ReadSource(f.Source)
	if err == nil && source.Size <= observe.FileLimit { // it is being written anew: an empty file must not replace a good one
		err = fmt.Errorf("%s has changed while it was read; run again", f.Source)
	}
	return wanted{content: content[:observe.FileLimit], source: &source}, err
}

// content returns the desired content of the file, and whether it is already there.
func (f *File) content(ctx context.Context, h modules.Host, at string, now observe.File) (w wanted, same bool, err error) {
	edits := len(f.Lines)+len(f.Blocks) > 0
	switch {
	case f.Content != nil:
		w.content = []byte(*f.Content)
	case f.Source != "":
		if w, err = f.read(edits); err != nil {
			return w, false, fmt.Errorf("source: %w", err)
		}
	case !now.Exists():
		if edits && !f.Create {
			return w, false, fmt.Errorf("%s does not exist; set create = true to create it", at)
		}
	case now.Truncated && edits:
		return w, false, fmt.Errorf("%s is larger than %s, the limit for editing lines", at, size(observe.FileLimit))
	default:
		w.content = now.Content
		if !edits {
			return w, true, nil
		}
	}
	if edits {
		text, err := f.edited(string(w.content))
		if err != nil {
			return w, false, fmt.Errorf("%s: %w", at, err)
		}
		w.content = []byte(text)
	}
	switch {
	case !now.Exists(), w.size() != now.Size:
		return w, false, nil
	case !now.Truncated:
		return w, bytes.Equal(w.content, now.Content), nil
	}
	there, err := observe.SumOf(ctx, h, at, now)
	if err != nil {
		return w, false, err
	}
	sum, err := w.sum()
	return w, there == sum, err
}
