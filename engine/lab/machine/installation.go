package machine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// status is dpkg's status of a package.
type status string

const (
	statusInstalled      status = "installed"
	statusHalfConfigured status = "half-configured"
	statusConfigFiles    status = "config-files"
)

type installation struct {
	pkg       Package
	status    status
	automatic bool
	hold      bool
	sums      map[string]string // MD5 checksums of the conffiles as shipped
	was       bool              // it was configured before, so decisions about its units are kept
}

func (i installation) words() (want, status, abbrev string) {
	want, abbrev = "install", "ii "
	if i.hold {
		want, abbrev = "hold", "hi "
	}
	switch i.status {
	case statusConfigFiles:
		return "deinstall", "config-files", "rc "
	case statusHalfConfigured:
		return want, "half-configured", abbrev[:1] + "F "
	}
	return want, "installed", abbrev
}

func (i installation) field(name string) (string, bool) {
	want, status, abbrev := i.words()
	switch name {
	case "Package", "binary:Package":
		return i.pkg.Name, true
	case "Version":
		return i.pkg.Version, true
	case "Architecture":
		return architecture, true
	case "Status":
		return want + " ok " + status, true
	case "db:Status-Abbrev":
		return abbrev, true
	case "db:Status-Status":
		return status, true
	case "db:Status-Want":
		return want, true
	case "db:Status-Eflag":
		return "ok", true
	case "Depends":
		return strings.Join(i.pkg.Depends, ", "), true
	case "Conffiles":
		var b strings.Builder
		for _, file := range slices.Sorted(maps.Keys(i.sums)) {
			fmt.Fprintf(&b, "\n %s %s", file, i.sums[file])
		}
		return b.String(), true
	case "Essential":
		return map[bool]string{true: "yes", false: "no"}[i.pkg.Essential], true
	case "Installed-Size", "Section", "Priority", "Maintainer", "Source", "source:Package", "source:Version", "Description", "binary:Summary", "Provides":
		return "", true
	}
	return "", false
}

// stanza returns the package's entry in /var/lib/dpkg/status.
func (i installation) stanza() string {
	want, status, _ := i.words()
	text := fmt.Sprintf("Package: %s\nStatus: %s ok %s\nArchitecture: %s\nVersion: %s\n", i.pkg.Name, want, status, architecture, i.pkg.Version)
	if len(i.pkg.Depends) > 0 {
		text += "Depends: " + strings.Join(i.pkg.Depends, ", ") + "\n"
	}
	if conffiles, _ := i.field("Conffiles"); conffiles != "" {
		text += "Conffiles:" + conffiles + "\n"
	}
	return text + "Description: " + i.pkg.Name + "\n"
}

// dpkgFormat expands a dpkg-query format: ${Field}, ${Field;WIDTH} and backslash escapes. As with dpkg, unknown fields
// are empty.
func dpkgFormat(format string, field func(name string) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		switch {
		case format[i] == '\\' && i+1 < len(format):
			i++
			switch format[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(format[i])
			}
		case strings.HasPrefix(format[i:], "${"):
			end := strings.IndexByte(format[i:], '}')
			if end < 0 {
				return "", errors.New("missing closing brace in format")
			}
			name, width, padded := strings.Cut(format[i+2:i+end], ";")
			value, _ := field(name)
			if padded {
				var n int
				if _, err := fmt.Sscanf(width, "%d", &n); err != nil || n > 4096 || n < -4096 {
					return "", fmt.Errorf("invalid character '%s' in field width", width)
				}
				value = fmt.Sprintf("%*s", n, value)
			}
			b.WriteString(value)
			i += end
		default:
			b.WriteByte(format[i])
		}
	}
	return b.String(), nil
}

const architecture = "amd64"
