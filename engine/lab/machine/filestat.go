package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/afero"
)

// details of a FileInfo beyond its methods.
func details(info fs.FileInfo) *fileInfo {
	if n, ok := info.(named); ok {
		info = n.FileInfo
	}
	if i, ok := info.(*fileInfo); ok {
		return i
	}
	uid, gid := owner(info)
	return &fileInfo{name: info.Name(), size: info.Size(), mode: info.Mode(), mtime: info.ModTime(), ctime: info.ModTime(), uid: uid, gid: gid, ino: 1, links: 1}
}

func fileKind(info *fileInfo) string {
	switch m := info.mode; {
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeCharDevice != 0:
		return "character special file"
	case m&fs.ModeDevice != 0:
		return "block special file"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	case m&fs.ModeSocket != 0:
		return "socket"
	case info.size == 0:
		return "regular empty file"
	}
	return "regular file"
}

const statTime = "2006-01-02 15:04:05.000000000 -0700"

// statFormat expands one of stat's formats; escapes are --printf's backslashes. The error names a
// directive that is not simulated.
func statFormat(format string, escapes bool, name, target string, info *fileInfo, userName, groupName func(int) string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		ch := format[i]
		if ch == '\\' && escapes && i+1 < len(format) {
			text, _ := unescape("\\" + strings.Replace(format[i+1:i+2], "0", "00", 1))
			if format[i+1] == 'c' || format[i+1] == '"' {
				text = format[i+1 : i+2]
			}
			b.WriteString(text)
			i++
			continue
		}
		if ch != '%' || i+1 == len(format) {
			b.WriteByte(ch)
			continue
		}
		i++
		flags := ""
		for i < len(format)-1 && strings.IndexByte("0123456789.-#", format[i]) >= 0 {
			flags += string(format[i])
			i++
		}
		if flags != "" {
			precision, ok := strings.CutPrefix(flags, ".")
			digits, err := strconv.Atoi(precision)
			if at := strings.IndexByte("XYZ", format[i]); ok && err == nil && at >= 0 && digits >= 1 && digits <= 9 {
				moment := []time.Time{info.mtime, info.mtime, info.ctime}[at]
				fmt.Fprintf(&b, "%d.%s", moment.Unix(), fmt.Sprintf("%09d", moment.Nanosecond())[:digits])
				continue
			}
			return "", fmt.Errorf("%%%s%c", flags, format[i])
		}
		switch format[i] {
		case '%':
			b.WriteByte('%')
		case 'a':
			fmt.Fprintf(&b, "%o", unixPerm(info.mode))
		case 'A':
			b.WriteString(modeText(info.mode))
		case 'b':
			fmt.Fprint(&b, (info.size+4095)/4096*8)
		case 'B':
			b.WriteString("512")
		case 'd':
			b.WriteString("2050")
		case 'f':
			fmt.Fprintf(&b, "%x", rawMode(info.mode))
		case 'F':
			b.WriteString(fileKind(info))
		case 'g':
			fmt.Fprint(&b, info.gid)
		case 'G':
			b.WriteString(groupName(info.gid))
		case 'h':
			fmt.Fprint(&b, info.links)
		case 'i':
			fmt.Fprint(&b, info.ino)
		case 'n':
			b.WriteString(name)
		case 'N':
			b.WriteString("'" + name + "'")
			if info.mode&fs.ModeSymlink != 0 {
				b.WriteString(" -> '" + target + "'")
			}
		case 's':
			fmt.Fprint(&b, info.size)
		case 't', 'T':
			dev := device{}
			if info.dev != nil {
				dev = *info.dev
			}
			fmt.Fprintf(&b, "%x", map[byte]int{'t': dev.major, 'T': dev.minor}[format[i]])
		case 'u':
			fmt.Fprint(&b, info.uid)
		case 'U':
			b.WriteString(userName(info.uid))
		case 'W':
			b.WriteString("0")
		case 'w':
			b.WriteString("-")
		case 'X', 'Y':
			fmt.Fprint(&b, info.mtime.Unix())
		case 'Z':
			fmt.Fprint(&b, info.ctime.Unix())
		case 'x', 'y':
			b.WriteString(info.mtime.UTC().Format(statTime))
		case 'z':
			b.WriteString(info.ctime.UTC().Format(statTime))
		default:
			return "", fmt.Errorf("%%%c", format[i])
		}
	}
	return b.String(), nil
}

func modeText(mode fs.FileMode) string {
	letter := map[fs.FileMode]byte{fs.ModeDir: 'd', fs.ModeSymlink: 'l', fs.ModeNamedPipe: 'p', fs.ModeSocket: 's', fs.ModeDevice | fs.ModeCharDevice: 'c', fs.ModeDevice: 'b'}[mode.Type()]
	if letter == 0 {
		letter = '-'
	}
	text := []byte(string(letter) + mode.Perm().String()[1:])
	for _, s := range []struct {
		bit  fs.FileMode
		at   int
		char byte
	}{{fs.ModeSetuid, 3, 's'}, {fs.ModeSetgid, 6, 's'}, {fs.ModeSticky, 9, 't'}} {
		if mode&s.bit == 0 {
			continue
		}
		if text[s.at] == '-' {
			text[s.at] = s.char - 'a' + 'A'
		} else {
			text[s.at] = s.char
		}
	}
	return string(text)
}

func statProgram(_ context.Context, c *Call) int {
	o, ok := c.options("c:Lt", "printf=", "format=", "dereference", "terse")
	if !ok {
		return 2
	}
	format, escapes := o.value("c", "format"), false
	if o.has("printf") {
		format, escapes = o.value("printf"), true
	}
	if !o.has("c", "format", "printf") {
		format = "  File: %N\n  Size: %s\t\tBlocks: %b\tIO Block: 4096   %F\nDevice: 8,2\tInode: %i\tLinks: %h\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nAccess: %x\nModify: %y\nChange: %z\n Birth: -"
	}
	code := 0
	users, groups := map[int]string{}, map[int]string{}
	memo := func(known map[int]string, find func(int) string) func(int) string {
		return func(id int) string {
			if _, ok := known[id]; !ok {
				known[id] = find(id)
			}
			return known[id]
		}
	}
	for _, name := range o.rest {
		info, err := c.view().stat("stat", c.Path(name), o.has("L", "dereference"))
		if err != nil {
			code = c.Errorf("cannot statx '%s': %s", name, errText(err))
			continue
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			target, _ = c.view().ReadlinkIfPossible(c.Path(name)) // a link that went away meanwhile has no target
		}
		text, err := statFormat(format, escapes, name, target, details(info), memo(users, c.Machine.userName), memo(groups, c.Machine.groupName))
		if err != nil {
			return notSimulated(c, err.Error())
		}
		if !escapes {
			text += "\n"
		}
		c.printf("%s", text)
	}
	return code
}

func readlink(_ context.Context, c *Call) int {
	o, ok := c.options("zfemnqsv", "zero", "canonicalize", "canonicalize-existing", "canonicalize-missing", "no-newline", "quiet", "silent", "verbose")
	if !ok {
		return 2
	}
	real := path.Base(c.Argv[0]) == "realpath"
	end := "\n"
	switch {
	case o.has("z", "zero"):
		end = "\x00"
	case o.has("n", "no-newline") && len(o.rest) == 1:
		end = ""
	}
	verbose := o.has("v", "verbose") || real && !o.has("q", "quiet")
	v := c.view()
	code := 0
	for _, name := range o.rest {
		var found string
		var err error
		switch {
		case o.has("f", "e", "m", "canonicalize", "canonicalize-existing", "canonicalize-missing") || real:
			var info fs.FileInfo
			found, info, err = v.resolve(c.Path(name), true)
			if err == nil && info == nil && o.has("e", "canonicalize-existing") {
				err = syscall.ENOENT
			}
			if err != nil && o.has("m", "canonicalize-missing") {
				found, err = path.Clean(c.Path(name)), nil
			}
		default:
			found, err = v.ReadlinkIfPossible(c.Path(name))
		}
		if err != nil {
			code = 1
			if verbose {
				c.Errorf("%s: %s", name, errText(err))
			}
			continue
		}
		c.printf("%s%s", found, end)
	}
	return code
}

func ls(_ context.Context, c *Call) int {
	o, ok := c.options("laA1dhRnLrtFp", "all", "almost-all", "directory", "human-readable", "color?")
	if !ok {
		return 2
	}
	if o.has("R") {
		return notSimulated(c, "-R")
	}
	if len(o.rest) == 0 {
		o.rest = []string{"."}
	}
	v := c.view()
	code := 0
	type entry struct {
		name string
		path string
		info fs.FileInfo
	}
	show := func(entries []entry) {
		if o.has("t") {
			sort.SliceStable(entries, func(i, j int) bool { return entries[i].info.ModTime().After(entries[j].info.ModTime()) })
		}
		if o.has("r") {
			for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
				entries[i], entries[j] = entries[j], entries[i]
			}
		}
		for _, e := range entries {
			suffix := ""
			if o.has("F", "p") && e.info.IsDir() {
				suffix = "/"
			}
			if !o.has("l", "n") {
				c.printf("%s%s\n", e.name, suffix)
				continue
			}
			d := details(e.info)
			user, group := c.Machine.userName(d.uid), c.Machine.groupName(d.gid)
			if o.has("n") {
				user, group = strconv.Itoa(d.uid), strconv.Itoa(d.gid)
			}
			size := strconv.FormatInt(d.size, 10)
			if o.has("h", "human-readable") {
				size = human(d.size)
			}
			arrow := ""
			if d.mode&fs.ModeSymlink != 0 {
				target, _ := v.ReadlinkIfPossible(e.path) // a link that went away meanwhile has no target
				arrow = " -> " + target
			}
			c.printf("%s %d %s %s %s %s %s%s%s\n", modeText(d.mode), d.links, user, group, size, d.mtime.UTC().Format("Jan _2 15:04"), e.name, suffix, arrow)
		}
	}
	var files []entry
	var dirs []string
	for _, name := range o.rest {
		follow := !o.has("l", "d") || o.has("L")
		info, err := v.stat("ls", c.Path(name), follow)
		if errors.Is(err, fs.ErrNotExist) && follow {
			info, err = v.stat("ls", c.Path(name), false)
		}
		switch {
		case err != nil:
			c.Errorf("cannot access '%s': %s", name, errText(err))
			code = 2
		case info.IsDir() && !o.has("d", "directory"):
			dirs = append(dirs, name)
		default:
			files = append(files, entry{name, c.Path(name), info})
		}
	}
	show(files)
	for i, dir := range dirs {
		if len(o.rest) > 1 {
			if i > 0 || len(files) > 0 {
				c.printf("\n")
			}
			c.printf("%s:\n", dir)
		}
		children, err := afero.ReadDir(v, c.Path(dir))
		if err != nil {
			c.Errorf("cannot open directory '%s': %s", dir, errText(err))
			code = 2
			continue
		}
		if o.has("l", "n") {
			c.printf("total %d\n", len(children)*4)
		}
		var entries []entry
		if o.has("a", "all") {
			if info, err := v.Stat(c.Path(dir)); err == nil {
				entries = append(entries, entry{".", c.Path(dir), info}, entry{"..", c.Path(dir), info})
			}
		}
		for _, child := range children {
			if strings.HasPrefix(child.Name(), ".") && !o.has("a", "A", "all", "almost-all") {
				continue
			}
			entries = append(entries, entry{child.Name(), path.Join(c.Path(dir), child.Name()), child})
		}
		show(entries)
	}
	return code
}

// human is a size as -h prints it.
func human(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f := float64(n)
	for _, unit := range "KMGTPE" {
		f /= 1024
		if f < 1024 {
			if f < 10 {
				return fmt.Sprintf("%.1f%c", f, unit)
			}
			return fmt.Sprintf("%.0f%c", f, unit)
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseMode reads an octal or symbolic mode as chmod does.
func parseMode(text string, current fs.FileMode, dir bool) (fs.FileMode, bool) {
	if n, err := strconv.ParseUint(text, 8, 32); err == nil {
		return fileMode(uint32(n)), n <= 0o7777
	}
	mode := unixPerm(current)
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, false
		}
		who := clause[:at]
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		rest := clause[at:]
		for rest != "" {
			op := rest[0]
			end := strings.IndexAny(rest[1:], "+-=") + 1
			if end == 0 {
				end = len(rest)
			}
			perms := rest[1:end]
			rest = rest[end:]
			var bits, mask uint32
			for _, w := range who {
				shift := map[rune]uint32{'u': 6, 'g': 3, 'o': 0}[w]
				if w != 'u' && w != 'g' && w != 'o' {
					return 0, false
				}
				mask |= 7 << shift
				for _, p := range perms {
					switch {
					case p == 'r':
						bits |= 4 << shift
					case p == 'w':
						bits |= 2 << shift
					case p == 'x', p == 'X' && (dir || mode&0o111 != 0):
						bits |= 1 << shift
					case p == 's' && w == 'u':
						bits |= 0o4000
					case p == 's' && w == 'g':
						bits |= 0o2000
					case p == 't':
						bits |= 0o1000
					case strings.ContainsRune("Xso", p):
					default:
						return 0, false
					}
				}
			}
			switch op {
			case '+':
				mode |= bits
			case '-':
				mode &^= bits
			case '=':
				mode = mode&^mask | bits
			}
		}
	}
	return fileMode(mode), true
}

func chmod(_ context.Context, c *Call) int {
	// A mode such as -x looks like an option.
	args := []string{}
	mode := ""
	for _, arg := range c.Argv[1:] {
		if mode == "" && len(arg) > 1 && (arg[0] != '-' || strings.IndexByte("rwxXst", arg[1]) >= 0) && !strings.HasPrefix(arg, "--") {
			mode = arg
			continue
		}
		args = append(args, arg)
	}
	o, ok := c.parse(args, "Rvcf", "recursive", "verbose", "quiet", "reference=")
	if !ok {
		return 2
	}
	if mode == "" || len(o.rest) == 0 {
		return c.Errorf("missing operand\nTry 'chmod --help' for more information.")
	}
	code := 0
	v := c.view()
	change := func(file string, info fs.FileInfo) error {
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil
		}
		m, valid := parseMode(mode, info.Mode(), info.IsDir())
		if !valid {
			return errMode
		}
		if m == info.Mode()&permBits {
			return nil
		}
		return v.Chmod(file, m)
	}
	for _, name := range o.rest {
		info, err := v.Stat(c.Path(name))
		switch {
		case err != nil:
			code = c.Errorf("cannot access '%s': %s", name, errText(err))
			continue
		case o.has("R", "recursive"):
			err = c.walk(c.Path(name), change)
		default:
			err = change(c.Path(name), info)
		}
		switch {
		case errors.Is(err, errMode):
			return c.Errorf("invalid mode: ‘%s’\nTry 'chmod --help' for more information.", mode)
		case err != nil:
			code = c.Errorf("changing permissions of '%s': %s", name, errText(err))
		}
	}
	return code
}

var errMode = errors.New("invalid mode")

// ownership resolves "user:group"; -1 keeps one.
func (c *Call) ownership(spec string) (uid, gid int, err error) {
	uid, gid = -1, -1
	user, grp, has := strings.Cut(spec, ":")
	if user != "" {
		if a, ok := c.Machine.account(user); ok {
			uid = a.uid
			if has && grp == "" {
				gid = a.gid
			}
		} else if n, nerr := strconv.Atoi(user); nerr == nil {
			uid = n
		} else {
			return 0, 0, fmt.Errorf("invalid user: ‘%s’", spec)
		}
	}
	if grp != "" {
		if g, ok := c.Machine.group(grp); ok {
			gid = g.gid
		} else if n, nerr := strconv.Atoi(grp); nerr == nil {
			gid = n
		} else {
			return 0, 0, fmt.Errorf("invalid group: ‘%s’", spec)
		}
	}
	return uid, gid, nil
}

func chown(_ context.Context, c *Call) int {
	o, ok := c.options("hRvcf", "no-dereference", "recursive", "quiet")
	if !ok {
		return 2
	}
	if len(o.rest) < 2 {
		return c.Errorf("missing operand\nTry '%s --help' for more information.", path.Base(c.Argv[0]))
	}
	spec := o.rest[0]
	if path.Base(c.Argv[0]) == "chgrp" {
		spec = ":" + spec
	}
	uid, gid, err := c.ownership(spec)
	if err != nil {
		return c.Errorf("%v", err)
	}
	v := c.view()
	code := 0
	change := func(file string, info fs.FileInfo) error {
		u, g := owner(info)
		if (uid < 0 || uid == u) && (gid < 0 || gid == g) {
			return nil
		}
		return v.chown(file, uid, gid, !o.has("h", "no-dereference", "R", "recursive"))
	}
	for _, name := range o.rest[1:] {
		info, err := v.stat("chown", c.Path(name), !o.has("h", "no-dereference"))
		switch {
		case err != nil:
			code = c.Errorf("cannot access '%s': %s", name, errText(err))
			continue
		case o.has("R", "recursive"):
			err = c.walk(c.Path(name), change)
		default:
			err = change(c.Path(name), info)
		}
		if err != nil {
			code = c.Errorf("changing ownership of '%s': %s", name, errText(err))
		}
	}
	return code
}

func installProgram(_ context.Context, c *Call) int {
	o, ok := c.options("dm:o:g:DTt:vp", "directory", "mode=", "owner=", "group=", "no-target-directory")
	if !ok {
		return 2
	}
	mode, valid := parseMode(cmpOr(o.value("m", "mode"), "0755"), 0, false)
	if !valid {
		return c.Errorf("invalid mode ‘%s’", o.value("m", "mode"))
	}
	uid, gid, err := c.ownership(o.value("o", "owner") + ":" + o.value("g", "group"))
	if err != nil {
		return c.Errorf("%v", err)
	}
	v := c.view()
	finish := func(file string) error {
		if err := v.Chmod(file, mode); err != nil {
			return err
		}
		if uid >= 0 || gid >= 0 {
			return v.Chown(file, uid, gid)
		}
		return nil
	}
	if o.has("d", "directory") {
		for _, name := range o.rest {
			if err := errors.Join(v.MkdirAll(c.Path(name), 0o755), finish(c.Path(name))); err != nil {
				return c.Errorf("cannot create directory '%s': %s", name, errText(err))
			}
		}
		return 0
	}
	sources, target, ok := c.operands(o)
	if !ok {
		return 1
	}
	for _, source := range sources {
		to := c.destination(source, target, o.has("T", "no-target-directory"))
		if o.has("D") {
			if err := v.MkdirAll(path.Dir(to), 0o755); err != nil {
				return c.Errorf("cannot create directory '%s': %s", path.Dir(to), errText(err))
			}
		}
		f, err := c.input(strings.Replace(source, "/dev/stdin", "-", 1))
		if err != nil {
			return c.Errorf("cannot stat '%s': %s", source, errText(err))
		}
		err = afero.WriteReader(v, to, f)
		_ = f.Close() // only read
		if err == nil {
			err = finish(to)
		}
		if err != nil {
			return c.Errorf("cannot create regular file '%s': %s", target, errText(err))
		}
	}
	return 0
}

func du(_ context.Context, c *Call) int {
	o, ok := c.options("shkb", "summarize", "human-readable", "bytes")
	if !ok {
		return 2
	}
	for _, name := range o.rest {
		var total int64
		if err := c.walk(c.Path(name), func(_ string, info fs.FileInfo) error { total += info.Size(); return nil }); err != nil {
			return c.Errorf("cannot access '%s': %s", name, errText(err))
		}
		text := strconv.FormatInt((total+1023)/1024, 10)
		switch {
		case o.has("h", "human-readable"):
			text = human(total)
		case o.has("b", "bytes"):
			text = strconv.FormatInt(total, 10)
		}
		c.printf("%s\t%s\n", text, name)
	}
	return 0
}

// find knows -name, -type, -maxdepth, -mindepth, -mmin, -newer, -print, -print0 and -delete, all of which must hold.
func find(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	var roots []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		roots, args = append(roots, args[0]), args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	maxDepth, minDepth, end := -1, 0, "\n"
	remove, quiet := false, false
	var tests []func(info fs.FileInfo) bool
	for len(args) > 0 {
		name := args[0]
		args = args[1:]
		value := ""
		switch name {
		case "-print":
			continue
		case "-print0":
			end = "\x00"
			continue
		case "-delete":
			remove, quiet = true, true
			continue
		case "-name", "-type", "-maxdepth", "-mindepth", "-mmin", "-newer":
			if len(args) == 0 {
				return c.Errorf("missing argument to `%s'", name)
			}
			value, args = args[0], args[1:]
		default:
			return notSimulated(c, name)
		}
		n, err := strconv.Atoi(strings.TrimLeft(value, "+-"))
		switch name {
		case "-name":
			tests = append(tests, func(info fs.FileInfo) bool { ok, err := path.Match(value, info.Name()); return ok && err == nil })
		case "-type":
			tests = append(tests, func(info fs.FileInfo) bool {
				return strings.Replace(modeText(info.Mode())[:1], "-", "f", 1) == value
			})
		case "-newer":
			reference, err := c.view().Stat(c.Path(value))
			if err != nil {
				return c.Errorf("‘%s’: %s", value, errText(err))
			}
			tests = append(tests, func(info fs.FileInfo) bool { return info.ModTime().After(reference.ModTime()) })
		case "-mmin":
			now := c.Machine.clock.Now()
			tests = append(tests, func(info fs.FileInfo) bool {
				age := int(now.Sub(info.ModTime()) / time.Minute)
				switch value[0] {
				case '+':
					return age > n
				case '-':
					return age < n
				}
				return age == n
			})
		case "-maxdepth":
			maxDepth = n
		case "-mindepth":
			minDepth = n
		}
		if err != nil && name != "-name" && name != "-type" && name != "-newer" {
			return c.Errorf("Expected a positive decimal integer argument to %s, but got ‘%s’", name, value)
		}
	}
	code := 0
	v := c.view()
	var visit func(shown string, depth int)
	visit = func(shown string, depth int) {
		info, err := v.stat("find", c.Path(shown), false)
		if err != nil {
			code = c.Errorf("‘%s’: %s", shown, errText(err))
			return
		}
		matches := depth >= minDepth
		for _, test := range tests {
			matches = matches && test(info)
		}
		if matches && !quiet {
			c.printf("%s%s", shown, end)
		}
		if info.IsDir() && depth != maxDepth {
			entries, err := afero.ReadDir(v, c.Path(shown))
			if err != nil {
				code = c.Errorf("‘%s’: %s", shown, errText(err))
			}
			for _, e := range entries {
				visit(strings.TrimSuffix(shown, "/")+"/"+e.Name(), depth+1)
			}
		}
		if matches && remove {
			if err := v.Remove(c.Path(shown)); err != nil {
				code = c.Errorf("cannot delete ‘%s’: %s", shown, errText(err))
			}
		}
	}
	for _, root := range roots {
		visit(root, 0)
	}
	return code
}
