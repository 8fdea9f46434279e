package machine

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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

// statFormat expands a stat format. If escapes is set, it interprets the backslash escapes of --printf. quote is
// applied to the names of %N. The error names a directive that is not simulated.
func statFormat(format string, escapes bool, quote func(string) string, name, target string, info *fileInfo, userName, groupName func(int) string) (string, error) {
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
			b.WriteString(quote(name))
			if info.mode&fs.ModeSymlink != 0 {
				b.WriteString(" -> " + quote(target))
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

// quoteC quotes a name as in the C locale: everything but printable ASCII becomes octal.
func quoteC(name string) string {
	b := []byte{'"'}
	for _, ch := range []byte(name) {
		at := strings.IndexByte("\a\b\f\n\r\t\v\\\"", ch)
		switch {
		case at >= 0:
			b = append(b, '\\', `abfnrtv\"`[at])
		case ch < ' ' || ch > '~':
			b = fmt.Appendf(b, "\\%03o", ch)
		default:
			b = append(b, ch)
		}
	}
	return string(append(b, '"'))
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
	quote := func(name string) string { return "'" + name + "'" }
	switch c.Env("QUOTING_STYLE") {
	case "literal":
		quote = func(name string) string { return name }
	case "c":
		quote = quoteC
	}
	for _, name := range o.rest {
		info, err := c.view().stat("stat", c.Path(name), o.has("L", "dereference"))
		if err != nil {
			code = c.Errorf("cannot statx '%s': %s", name, errText(err))
			continue
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			target, _ = c.view().ReadlinkIfPossible(c.Path(name)) // a link that was just removed has no target
		}
		text, err := statFormat(format, escapes, quote, name, target, details(info), memo(users, c.Machine.userName), memo(groups, c.Machine.groupName))
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
