// Package file manages one file, directory or symbolic link, or a line or a block within a file.
package file

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// File is the desired state of a path.
type File struct {
	Path    string  `hcl:"path" doc:"Absolute path on the host."`
	State   string  `hcl:"state,optional" enum:"present,directory,link,absent" doc:"What the path should be. The default is link with target, directory with tree or files, and otherwise present."`
	Content *string `hcl:"content,optional" doc:"The whole content of the file. Without content and source, existing content is kept and a missing file is created empty."`
	Source  string  `hcl:"source,optional" path:"controller" doc:"Path of a file on the controller to copy, text or binary. A relative path is relative to the playbook's file."`
	// Tree and Files are what a directory holds at least.
	Tree   string            `hcl:"tree,optional" path:"controller" doc:"A directory on the controller whose files are copied into this one, with all directories below it. Templates (*.tmpl) are rendered in files."`
	Files  map[string]string `hcl:"files,optional" doc:"More files for the directory, by their path in it: { \"conf.d/a.conf\" = \"…\" }."`
	Target string            `hcl:"target,optional" doc:"Target of the symbolic link, exactly as written into it."`

	Mode     fs.FileMode `hcl:"mode,optional" doc:"Permission bits in octal, such as 0644 or 2755. By default they are kept; a new file gets 0644, a new directory 0755."`
	FileMode fs.FileMode `hcl:"file_mode,optional" doc:"With tree or files: permission bits of the files. The default is 0644, or 0755 for a file of the tree that is executable."`
	Owner    string      `hcl:"owner,optional" doc:"Name of the owner. By default the owner is kept; a new file belongs to the acting user."`
	Group    string      `hcl:"group,optional" doc:"Name of the group, as with owner."`

	// Checker is named after its purpose, because its argument's name is taken by the method of Validator.
	Checker []string `hcl:"validate,optional" doc:"A command that gets the new content on standard input; unless it exits with 0, nothing is written. It must change nothing, because check mode runs it too: [\"visudo\", \"-cf\", \"-\"]."`

	MakeParents bool `hcl:"make_parents,optional" doc:"Create missing parent directories (0755)."`
	Recursive   bool `hcl:"recursive,optional" doc:"With state absent: remove a directory and everything in it."`
	Replace     bool `hcl:"replace,optional" doc:"Replace a path of another type: a file, an empty directory, or a symbolic link, which is otherwise written through."`
	Create      bool `hcl:"create,optional" doc:"Create a missing file for its lines and blocks."`

	Guard *Guard `hcl:"guard,block" doc:"For a file that decides whether the host can be reached: its change is undone unless hlplay can log in anew."`

	// coming holds the directories that earlier steps of the same plan make.
	coming map[string]bool

	Lines  []Line  `hcl:"line,block" doc:"A line in the file."`
	Blocks []Block `hcl:"block,block" doc:"A block of lines in the file, between two marker lines."`
}

// Line is one line within a file.
type Line struct {
	Line         string `hcl:"line,optional" doc:"The line, without a newline."`
	Regexp       string `hcl:"regexp,optional" doc:"Regular expression (RE2) for other forms of the line: the first match is replaced by line, other matches are removed. It must match line itself."`
	State        string `hcl:"state,optional" default:"present" enum:"present,absent,replaced" doc:"absent removes all lines that match regexp or equal line. replaced changes lines that match regexp to line, and adds nothing where none matches."`
	InsertAfter  string `hcl:"insert_after,optional" doc:"Regular expression: a new line is added after the last match, or at the end without a match."`
	InsertBefore string `hcl:"insert_before,optional" doc:"Regular expression: a new line is added before the first match, or at the end without a match. BOF is the beginning of the file."`
}

// Block is a block of lines within a file, between two marker lines.
type Block struct {
	Content      string `hcl:"content,optional" doc:"The lines between the markers."`
	Marker       string `hcl:"marker,optional" default:"hlplay managed block" doc:"Text of the marker lines: # BEGIN marker, # END marker. Several blocks in one file need different markers."`
	Comment      string `hcl:"comment,optional" default:"#" doc:"Comment prefix of the file, for the marker lines."`
	State        string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"absent removes the block and its markers."`
	InsertAfter  string `hcl:"insert_after,optional" doc:"As for a line; an existing block is not moved."`
	InsertBefore string `hcl:"insert_before,optional" doc:"As for a line."`
}

const (
	present   = "present"
	absent    = "absent"
	directory = "directory"
	link      = "link"
	replaced  = "replaced"
)

// result is the registered result.
type result struct {
	Path  string `cty:"path" doc:"Path of the file."`
	State string `cty:"state" doc:"State of the task: present, directory, link or absent."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "file",
	Aliases: []string{"copy", "template", "lineinfile", "blockinfile", "replace", "slurp"},
	Vital: []string{
		"/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/hosts", "/etc/fstab",
		"/etc/default/grub", "/etc/default/grub.d/*", "/etc/kernel/cmdline", "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*",
	},
	Summary: "A file, directory or symbolic link; or a line or a block within a file",
	Doc: `Files are replaced atomically: a reader sees the old content or the new one. Templates are a function of the
language: ` + "`content = templatefile(\"hosts.tmpl\", { nodes = hosts })`" + `.

Lines are compared without a trailing carriage return, and new lines get the file's line ending (CRLF or LF).

Content is written **through** a symbolic link to its target, so that links into ` + "`/etc/pve`" + ` stay;
` + "`replace = true`" + ` replaces the link. A link that belongs to a user other than root and the acting one, or that is in a directory where
another user could create one, is never followed: the task fails and names the user. Let the task act as that user.

Mode, owner, access control lists and extended attributes of an existing file are kept. A file with other names
(hard links) is separated from them, which the step mentions.

These are refused: removing a non-empty directory without ` + "`recursive = true`" + `, removing ` + "`/`" + ` or a directory directly below it,
replacing a non-empty directory by anything else, editing a line of a missing file without
` + "`create = true`" + `, and editing a block that has no end marker.

` + "`tree`" + ` copies a directory from the controller, and ` + "`files`" + ` adds content from the playbook, such as templates. Both only add and change:
other files in the directory stay. ` + "`mode`" + ` then applies to directories.

A ` + "`guard`" + ` is for configuration that can lock you out, such as sshd's or a packet filter's. Before the file is changed, a timer on the host is set to restore
the old one after the given time. Then the file is written and ` + "`apply`" + ` is run. Once the SSH server has taken any signal to reload, hlplay
logs in again. The change stays only if that works and ` + "`prove`" + ` succeeds. Otherwise, even if the run is interrupted, the host returns to its former state.

The mode and owner of files in ` + "`/etc/pve`" + ` are set by the cluster file system; asking for others is an error.`,
	Example: `task "time zone" {
  file {
    path   = "/etc/localtime"
    target = "/usr/share/zoneinfo/Europe/Berlin"
  }
}

task "the issue text" {
  file {
    path    = "/etc/issue.net"
    content = "Authorised use only.\n"
    mode    = "0644"
  }
}

task "a site with its templates" {
  file {
    path  = "/srv/site"
    files = { for name in ["index.html", "about.html"] : name => "<h1>${host.name}</h1>\n" }
  }
}

task "root logs in by key only" {
  file {
    path = "/etc/ssh/sshd_config"
    line {
      regexp = "^#?PermitRootLogin\\s"
      line   = "PermitRootLogin prohibit-password"
    }
    validate = ["sshd", "-tf", "/dev/stdin"]
    guard {
      apply  = ["systemctl", "reload", "ssh"]
      within = "60s"
    }
  }
}
`,
	Result: result{},
	Local:  true,
	New:    func() modules.Module { return &File{} },
}

// mode returns the permission bits as in chmod(1). In arguments, the three high bits may also be those of Go.
func (f *File) mode() fs.FileMode {
	bits := f.Mode & 0o7777
	for high, bit := range map[fs.FileMode]fs.FileMode{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if f.Mode&high != 0 {
			bits |= bit
		}
	}
	return bits
}

// state returns the desired state. If it is not given, target decides whether a link is wanted.
func (f *File) state() string {
	switch {
	case f.State != "":
		return f.State
	case f.Target != "":
		return link
	case f.copies():
		return directory
	}
	return present
}

// Validate implements modules.Validator.
func (f *File) Validate() error {
	for _, check := range []func() error{f.checkPath, f.checkState, f.checkAttributes, f.checkSource, f.checkTree, f.validateGuard} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, l := range f.Lines {
		if err := l.check(); err != nil {
			return err
		}
	}
	markers := map[string]bool{}
	for _, b := range f.Blocks {
		if err := b.check(); err != nil {
			return err
		}
		if markers[b.begin()] {
			return &modules.ArgumentError{Argument: "block.marker", Problem: fmt.Sprintf("two blocks use the marker line %q", b.begin()), Want: "give each its own"}
		}
		markers[b.begin()] = true
	}
	return nil
}

func (f *File) checkPath() error {
	if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || strings.ContainsRune(f.Path, 0) {
		return &modules.ArgumentError{Argument: "path", Problem: fmt.Sprintf("%q is not a clean absolute path", f.Path), Want: "expected a path that begins with / and has no .., no // and no final /"}
	}
	if f.Path == "/" {
		return &modules.ArgumentError{Argument: "path", Problem: "the root directory is not managed"}
	}
	if f.state() == absent && f.Recursive && path.Dir(f.Path) == "/" {
		return &modules.ArgumentError{Argument: "recursive", Problem: "refusing to remove " + f.Path + " and everything below it", Want: "name a directory further down"}
	}
	return nil
}

// checkState rejects arguments that are meaningless in the desired state.
func (f *File) checkState() error {
	content := f.Content != nil || f.Source != "" || len(f.Lines)+len(f.Blocks) > 0
	attributes := f.Mode != 0 || f.Owner != "" || f.Group != ""
	given := map[string]bool{
		"content, source, line or block": content,
		"mode, owner or group":           attributes,
		"target":                         f.Target != "",
		"validate":                       f.Checker != nil,
		"recursive":                      f.Recursive,
		"create":                         f.Create,
		"make_parents":                   f.MakeParents,
		"replace":                        f.Replace,
		"tree":                           f.Tree != "",
		"files":                          f.Files != nil,
	}
	var useless []string
	switch f.state() {
	case present:
		useless = []string{"target", "recursive", "tree", "files"}
	case directory:
		useless = []string{"content, source, line or block", "target", "validate", "recursive", "create"}
	case link:
		if f.Target == "" {
			return &modules.ArgumentError{Argument: "target", Problem: "is missing", Want: "give the path that the link points to"}
		}
		useless = []string{"content, source, line or block", "mode, owner or group", "validate", "recursive", "create", "tree", "files"}
	case absent:
		useless = []string{"content, source, line or block", "mode, owner or group", "target", "validate", "create", "make_parents", "replace", "tree", "files"}
	}
	for _, name := range useless {
		if given[name] {
			return &modules.ArgumentError{Argument: strings.Split(name, ",")[0], Problem: fmt.Sprintf("%s has no effect with state %q", name, f.state())}
		}
	}
	if f.Checker != nil && (len(f.Checker) == 0 || f.Checker[0] == "") {
		return &modules.ArgumentError{Argument: "validate", Problem: "it names no program", Want: `expected a command such as ["visudo", "-cf", "-"]`}
	}
	if slices.Contains(f.Checker, "%s") { // as Ansible has it
		return &modules.ArgumentError{Argument: "validate", Problem: "no file takes the place of %s: the command gets the new content on standard input", Want: `expected /dev/stdin, or whatever the command takes for it: ["visudo", "-cf", "-"]`}
	}
	if f.FileMode != 0 && !f.copies() {
		return &modules.ArgumentError{Argument: "file_mode", Problem: "it needs tree or files", Want: "use mode for a single file or directory"}
	}
	if f.Content != nil && f.Source != "" {
		return &modules.ArgumentError{Argument: "source", Problem: "content is given, too", Want: "give only one of them"}
	}
	return nil
}

func (f *File) checkAttributes() error {
	for argument, mode := range map[string]fs.FileMode{"mode": f.Mode, "file_mode": f.FileMode} {
		if mode&^(0o7777|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%o is not a valid mode", uint32(mode)), Want: "expected at most 7777"}
		}
	}
	for argument, name := range map[string]string{"owner": f.Owner, "group": f.Group} {
		if name == "" {
			continue
		}
		if err := observe.CheckKnownName(name); err != nil {
			return &modules.ArgumentError{Argument: argument, Problem: err.Error()}
		}
	}
	return nil
}

func (f *File) checkSource() error {
	if f.Source == "" {
		return nil
	}
	info, err := os.Stat(f.Source)
	if err != nil {
		return &modules.ArgumentError{Argument: "source", Problem: err.Error(), Want: "name a file on the controller"}
	}
	if !info.Mode().IsRegular() {
		return &modules.ArgumentError{Argument: "source", Problem: f.Source + " is not a regular file"}
	}
	return nil
}

func (l Line) check() error {
	if strings.ContainsAny(l.Line, "\n\r") {
		return &modules.ArgumentError{Argument: "line.line", Problem: "it contains a line break", Want: "use several line blocks, or a block"}
	}
	re, err := regexp.Compile(l.Regexp)
	switch {
	case err != nil:
		return &modules.ArgumentError{Argument: "line.regexp", Problem: err.Error(), Want: "expected a regular expression in Go's syntax (RE2)"}
	case l.State == absent && l.Regexp == "" && l.Line == "":
		return &modules.ArgumentError{Argument: "line", Problem: "line or regexp is required with state absent"}
	case l.State == replaced && l.Regexp == "":
		return &modules.ArgumentError{Argument: "line.regexp", Problem: "is missing", Want: "give an expression that matches the lines to replace"}
	case l.State != absent && l.Line == "":
		return &modules.ArgumentError{Argument: "line.line", Problem: "is missing"}
	case l.State != absent && l.Regexp != "" && !re.MatchString(l.Line):
		return &modules.ArgumentError{Argument: "line.regexp", Problem: fmt.Sprintf("%q does not match the line %q", l.Regexp, l.Line), Want: "expected an expression that matches the line, or every run would add it again"}
	}
	return checkPlace("line", l.InsertAfter, l.InsertBefore)
}

func checkPlace(argument, after, before string) error {
	if after != "" && before != "" {
		return &modules.ArgumentError{Argument: argument + ".insert_before", Problem: "insert_after is given, too", Want: "give only one of them"}
	}
	for name, expression := range map[string]string{"insert_after": after, "insert_before": before} {
		if _, err := regexp.Compile(expression); err != nil {
			return &modules.ArgumentError{Argument: argument + "." + name, Problem: err.Error(), Want: "expected a regular expression in Go's syntax (RE2)"}
		}
	}
	return nil
}

func (b Block) check() error {
	if strings.ContainsAny(b.Marker+b.Comment, "\n\r") {
		return &modules.ArgumentError{Argument: "block.marker", Problem: "marker or comment contains a line break"}
	}
	for line := range strings.SplitSeq(b.Content, "\n") {
		if line = strings.TrimSuffix(line, "\r"); line == b.begin() || line == b.end() {
			return &modules.ArgumentError{Argument: "block.content", Problem: "it contains a marker line", Want: "choose another marker"}
		}
	}
	return checkPlace("block", b.InsertAfter, b.InsertBefore)
}
