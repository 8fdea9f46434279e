package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// Plan implements modules.Module.
func (f *File) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	f.Want(h)
	var steps []modules.Step
	var err error
	switch f.state() {
	case absent:
		steps, err = f.planAbsent(ctx, h)
	case directory:
		steps, err = f.planTree(ctx, h)
	case link:
		steps, err = f.planLink(ctx, h)
	default:
		steps, err = f.planPresent(ctx, h)
	}
	if err == nil && len(steps) > 0 && f.state() != absent {
		err = f.checkHost(ctx, h)
	}
	plan := modules.Plan{Data: modules.Data(result{Path: f.Path, State: f.state()}), Advice: f.advice(ctx, h)}
	if err != nil {
		return plan, err
	}
	plan.Steps = steps
	return f.guarded(ctx, h, plan)
}

// Want implements modules.Announcer.
func (f *File) Want(h modules.Host) {
	if f.Path != "" {
		observe.Files.Want(h, f.Path)
	}
	if f.Path != "" && f.copies() {
		f.wantTree(h)
	}
	observe.Programs.Want(h, f.programs()...)
}

// programs returns the programs that are run when the file changes.
func (f *File) programs() []string {
	var all []string
	if len(f.Checker) > 0 {
		all = append(all, f.Checker[0])
	}
	if f.Guard != nil {
		for _, argv := range [][]string{f.Guard.Apply, f.Guard.Prove} {
			if len(argv) > 0 {
				all = append(all, argv[0])
			}
		}
	}
	return all
}

// checkHost returns an error if the host lacks an owner, group or program.
func (f *File) checkHost(ctx context.Context, h modules.Host) error {
	for _, program := range f.programs() {
		if err := required.Program(ctx, h, program, "the new "+f.Path); err != nil {
			return err
		}
	}
	return required.Account(ctx, h, "owner", f.Owner, "group", f.Group)
}

// ancestors returns the directories above a path, nearest first, without the root.
func ancestors(name string) []string {
	var all []string
	for dir := path.Dir(name); dir != "/" && dir != "."; dir = path.Dir(dir) {
		all = append(all, dir)
	}
	return all
}

func (f *File) planAbsent(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	at, now, err := observe.Look(ctx, h, f.Path)
	if err != nil {
		return nil, err
	}
	if !now.Exists() {
		return nil, observe.Files.MayAppear(h, at)
	}
	if now.Type == observe.Directory {
		return f.removeDirectory(ctx, h, at, f.Recursive, "set recursive = true to remove it with its contents")
	}
	return []modules.Step{{
		Summary: fmt.Sprintf("remove %s %s", now.Type, at),
		Action:  modules.Remove{Path: at, Lossless: now.Type == observe.Symlink},
		Diff:    contentDiff(at, now, observe.File{}),
		Expect:  observe.Placed(h, at, observe.File{}),
	}}, nil
}

// removeDirectory removes the directory at the path. Unless recursive is set, it must be empty; rmdir(1) ensures that
// at the moment of removal too.
func (f *File) removeDirectory(ctx context.Context, h modules.Host, at string, recursive bool, hint string) ([]modules.Step, error) {
	expect := append(observe.Placed(h, at, observe.File{}), observe.Dirs.Expect(at, observe.Listing{}))
	if recursive {
		return []modules.Step{{
			Summary: "remove directory " + at + " with all that is in it",
			Action:  modules.Remove{Path: at, Recursive: true},
			Expect:  append(expect, observe.TreeGone(at)),
		}}, nil
	}
	listing, err := observe.Dirs.Observe(ctx, h, at)
	if err != nil {
		return nil, err
	}
	if n := len(listing.Entries); n > 0 {
		return nil, fmt.Errorf("%s is a directory with %d entries (%s, …); %s", at, n, listing.Entries[0], hint)
	}
	return []modules.Step{{
		Summary: "remove empty directory " + at,
		Action:  modules.Remove{Path: at, Lossless: true},
		Expect:  expect,
	}}, nil
}

func (f *File) planDirectory(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	there, _, err := observe.Look(ctx, h, f.Path)
	if err != nil {
		return nil, err
	}
	at, now, err := observe.Follow(ctx, h, there)
	if err != nil {
		return nil, err
	}
	switch {
	case now.Type == observe.Directory:
		return f.attributes(ctx, at, now, h)
	case now.Exists():
		return nil, fmt.Errorf("%s is a %s, expected a directory; remove it first (state = \"absent\")", at, now.Type)
	case at != there:
		return nil, fmt.Errorf("%s is a symbolic link to %s, which does not exist; create that directory first, or remove the link (state = \"absent\")", there, at)
	}
	steps, err := f.parents(ctx, h, at)
	if err != nil {
		return nil, err
	}
	made, err := f.made(ctx, h, at, observe.File{Type: observe.Directory, Mode: 0o755})
	if err != nil {
		return nil, err
	}
	return append(steps, modules.Step{
		Summary: fmt.Sprintf("create directory %s (%04o %s:%s)", at, uint32(made.Mode), made.Owner, made.Group),
		Action:  modules.MakeDir{Path: at, Mode: made.Mode, Owner: f.Owner, Group: f.Group},
		Expect:  observe.Placed(h, at, made),
	}), nil
}

func (f *File) planLink(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	at, now, err := observe.Look(ctx, h, f.Path)
	if err != nil || now.Type == observe.Symlink && now.Target == f.Target {
		return nil, err
	}
	steps, err := f.parents(ctx, h, at)
	if err != nil {
		return nil, err
	}
	if now.Exists() && now.Type != observe.Symlink {
		if !f.Replace {
			return nil, fmt.Errorf("%s is a %s, expected a symbolic link; set replace = true to replace it", at, now.Type)
		}
		if now.Type == observe.Directory {
			removal, err := f.removeDirectory(ctx, h, at, false, "it is not replaced by a link")
			if err != nil {
				return nil, err
			}
			steps = append(steps, removal...)
		}
	}
	made, err := f.made(ctx, h, at, observe.File{Type: observe.Symlink, Mode: 0o777, Target: f.Target, Size: int64(len(f.Target))})
	if err != nil {
		return nil, err
	}
	return append(steps, modules.Step{
		Summary: fmt.Sprintf("link %s to %s", at, f.Target),
		Action:  modules.Link{Path: at, Target: f.Target},
		Diff:    &modules.Diff{Subject: at, Before: now.Target, After: f.Target},
		Expect:  observe.Placed(h, at, made),
	}), nil
}

func (f *File) planPresent(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	at, now, err := f.written(ctx, h)
	if err != nil {
		return nil, err
	}
	var steps []modules.Step
	before := now
	switch now.Type {
	case observe.Absent:
		if f.onlyRemoves() {
			return nil, observe.Files.MayAppear(h, at)
		}
		f.wantCheck(ctx, h, at)
		if steps, err = f.parents(ctx, h, at); err != nil {
			return nil, err
		}
	case observe.Directory:
		if !f.Replace {
			return nil, fmt.Errorf("%s is a directory, expected a file; set replace = true to replace it if it is empty", at)
		}
		if steps, err = f.removeDirectory(ctx, h, at, false, "it is not replaced by a file"); err != nil {
			return nil, err
		}
		now = observe.File{}
	case observe.Symlink:
		now = observe.File{}
	case observe.Other:
		return nil, fmt.Errorf("%s is a special file (a device, socket or pipe), expected a regular file", at)
	}
	w, same, err := f.content(ctx, h, at, now)
	if err != nil {
		return nil, err
	}
	if same {
		return f.attributes(ctx, at, now, h)
	}
	after := observe.File{Type: observe.Regular, Mode: 0o644}
	if now.Exists() {
		after.Mode, after.Owner, after.Group = now.Mode, now.Owner, now.Group
		if f.Owner != "" && f.Owner != now.Owner || f.Group != "" && f.Group != now.Group {
			after.Mode &= 0o777 // setuid and setgid are not kept: see write.sh
		}
	}
	if after, err = f.made(ctx, h, at, after); err != nil {
		return nil, err
	}
	after.Size = w.size()
	after.Truncated = after.Size > observe.FileLimit
	after.Content = w.content[:min(len(w.content), observe.FileLimit)]
	after.Others = 0
	expect := observe.Placed(h, at, after)
	if after.Truncated { // the last expectation for a key counts
		expect = append(expect, observe.Sums.ExpectLater(at, w.sum))
	}
	verb := "create"
	if before.Exists() {
		verb = "write"
	}
	if f.Checker != nil {
		if err := f.foresee(ctx, h, at, w.content); err != nil {
			return nil, err
		}
		steps = append([]modules.Step{f.check(at, w.content)}, steps...)
	}
	return append(steps, modules.Step{
		Summary: fmt.Sprintf("%s %s (%s, %04o %s:%s)", verb, at, size(int(after.Size)), uint32(after.Mode), after.Owner, after.Group) + before.OthersKeep(),
		Action:  w.written(modules.WriteFile{Path: at, Mode: f.mode(), Owner: f.Owner, Group: f.Group, OverLink: before.Type == observe.Symlink}),
		Diff:    contentDiff(at, before, after),
		Expect:  expect,
	}), nil
}

// briefly is the size in bytes of a content of which a program cannot say much.
const briefly = 64 << 10

// check returns the step that validates the content with a program before any of it is put in place.
func (f *File) check(at string, content []byte) modules.Step {
	return modules.Step{
		Summary: fmt.Sprintf("let %s check the new %s", f.Checker[0], at),
		Exact:   true,
		Action: modules.Run{Argv: f.Checker, Stdin: content, Brief: len(content) <= briefly, Explain: func(exit int, stdout, stderr []byte) error {
			return f.rejected(at, exit, stdout, stderr)
		}},
	}
}

// rejected is the error for content that the program does not accept.
func (f *File) rejected(at string, exit int, stdout, stderr []byte) error {
	said := strings.TrimSpace(string(stderr) + string(stdout))
	if said == "" {
		said = "it printed no message"
	}
	return fmt.Errorf("%s rejected the new content of %s (exit code %d): %s; nothing was written", strings.Join(f.Checker, " "), at, exit, said)
}

// checkLimit bounds the program that checks the content, as the default limit bounds the step that runs it.
const checkLimit = 10 * time.Minute

// wantCheck has a new content checked in the same flight as the directories above it are read.
func (f *File) wantCheck(ctx context.Context, h modules.Host, at string) {
	if f.Checker == nil || required.Program(ctx, h, f.Checker[0], "") != nil {
		return
	}
	if w, _, err := f.content(ctx, h, at, observe.File{}); err == nil && readable(w.content) {
		observe.Checks.Want(h, f.checking(ctx, w.content).Key())
	}
}

// readable reports whether a content can be the input of a Reading, which is text.
func readable(content []byte) bool { return utf8.Valid(content) && bytes.IndexByte(content, 0) < 0 }

// checking returns the command that checks the content.
func (f *File) checking(ctx context.Context, content []byte) observe.Reading {
	return observe.Reading{
		Argv: f.Checker, Stdin: string(content), Limit: checkLimit,
		User: observe.ActingUser(ctx), Env: observe.ActingEnvironment(ctx, nil),
	}
}

// foresee lets the program check the content while the plan is made, so that check mode reports what the run would refuse.
// If an earlier change may affect the answer, the check is left to the step.
func (f *File) foresee(ctx context.Context, h modules.Host, at string, content []byte) error {
	if err := required.Program(ctx, h, f.Checker[0], "the new "+f.Path); err != nil {
		return err
	}
	if !readable(content) {
		return nil
	}
	answer, err := observe.Checks.Observe(ctx, h, f.checking(ctx, content).Key())
	switch {
	case observe.IsUnknown(err):
		return nil
	case err != nil:
		return err
	case answer.Exit != 0:
		return f.rejected(at, answer.Exit, answer.Stdout, answer.Stderr)
	}
	return nil
}

// written returns where content is to be written and what is there now, following symbolic links unless they are to be
// replaced.
func (f *File) written(ctx context.Context, h modules.Host) (string, observe.File, error) {
	if !f.Replace {
		return observe.Follow(ctx, h, f.Path)
	}
	return observe.Look(ctx, h, f.Path)
}

// onlyRemoves reports whether the task only asks for edits that an absent file satisfies.
func (f *File) onlyRemoves() bool {
	if f.Content != nil || f.Source != "" || f.Create || len(f.Lines)+len(f.Blocks) == 0 {
		return false
	}
	for _, l := range f.Lines {
		if l.State != absent && l.State != replaced {
			return false
		}
	}
	for _, b := range f.Blocks {
		if b.State != absent {
			return false
		}
	}
	return true
}

// attributes returns the step that sets mode and ownership if they differ.
func (f *File) attributes(ctx context.Context, at string, now observe.File, h modules.Host) ([]modules.Step, error) {
	if !now.Exists() {
		return nil, nil
	}
	after := now
	var what []string
	if f.Owner != "" && f.Owner != now.Owner {
		after.Owner = f.Owner
		what = append(what, "owner "+f.Owner)
	}
	if f.Group != "" && f.Group != now.Group {
		after.Group = f.Group
		what = append(what, "group "+f.Group)
	}
	if len(what) > 0 && now.Type == observe.Regular {
		after.Mode = givenAway(now.Mode)
	}
	var mode *fs.FileMode
	if m := f.mode(); m != 0 && m != after.Mode {
		mode, after.Mode = &m, m
	}
	if after.Mode != now.Mode {
		what = slices.Insert(what, 0, fmt.Sprintf("mode %04o", uint32(after.Mode)))
	}
	if len(what) == 0 {
		return nil, nil
	}
	if err := f.checkClusterFS(at); err != nil {
		return nil, err
	}
	if err := observe.CheckNames(ctx, h, at, now); err != nil {
		return nil, err
	}
	return []modules.Step{{
		Summary: fmt.Sprintf("set %s of %s", strings.Join(what, ", "), at),
		Action:  modules.SetAttributes{Path: at, Mode: mode, Owner: f.Owner, Group: f.Group},
		Diff:    &modules.Diff{Subject: at, Before: attributes(now), After: attributes(after)},
		Expect:  []observe.Expectation{observe.Files.Expect(at, after)},
	}}, nil
}

// givenAway returns the mode that chown(2) leaves to a regular file, whoever calls it and whatever owner the file gets: it clears
// setuid, and setgid if the group may execute the file.
func givenAway(mode fs.FileMode) fs.FileMode {
	mode &^= setuid
	if mode&0o010 != 0 {
		mode &^= setgid
	}
	return mode
}

func attributes(f observe.File) string {
	return fmt.Sprintf("%04o %s:%s", uint32(f.Mode), f.Owner, f.Group)
}

func size(n int) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// contentDiff shows text as it is, and anything else by its size and checksum.
func contentDiff(name string, before, after observe.File) *modules.Diff {
	return &modules.Diff{Subject: name, Before: shown(before), After: shown(after)}
}

func shown(f observe.File) string {
	switch {
	case f.Type == observe.Symlink:
		return "symbolic link to " + f.Target
	case f.Type != observe.Regular:
		return ""
	case f.Truncated:
		return fmt.Sprintf("%d bytes", f.Size)
	case !utf8.Valid(f.Content) || bytes.IndexByte(f.Content, 0) >= 0:
		return fmt.Sprintf("%d bytes, SHA-256 %x", f.Size, sha256.Sum256(f.Content))
	}
	return string(f.Content)
}
