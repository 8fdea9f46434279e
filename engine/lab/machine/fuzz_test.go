package machine

import (
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzStatFormat(f *testing.F) {
	for _, seed := range []string{"%f %U %G %s %Z %n\\0", "%a\\t%A", "%.9Y", "%", "%%", "%-5n", "\\", "%N%F%h%i", "%.99Z", "%Q"} {
		f.Add(seed, true)
	}
	info := &fileInfo{name: "n", mode: fs.ModeSymlink | 0o777, size: 3}
	name := func(int) string { return "root" }
	f.Fuzz(func(t *testing.T, format string, escapes bool) {
		text, err := statFormat(format, escapes, quoteC, "n", "target", info, name, name)
		if err != nil && text != "" {
			t.Errorf("%q: output %q beside the error %v", format, text, err)
		}
		if err == nil && !strings.ContainsAny(format, "%\\") && text != format {
			t.Errorf("%q came out as %q", format, text)
		}
	})
}

func FuzzDpkgFormat(f *testing.F) {
	for _, seed := range []string{"${Package}\\t${Version}\\n", "${db:Status-Abbrev}", "${Package;-20}|", "${", "${}", "\\", "${Package;x}", "${Version;99999999}"} {
		f.Add(seed)
	}
	i := installation{pkg: Package{Name: "chrony", Version: "4"}, status: statusInstalled}
	f.Fuzz(func(t *testing.T, format string) {
		text, err := dpkgFormat(format, i.field)
		if err == nil && !strings.ContainsAny(format, "$\\") && text != format {
			t.Errorf("%q came out as %q", format, text)
		}
	})
}

func FuzzMode(f *testing.F) {
	for _, seed := range []string{"0644", "u+x,g-w", "a=rX", "=", "u+s", "99", "+t", "o=u"} {
		f.Add(seed, uint32(0o640))
	}
	f.Fuzz(func(t *testing.T, text string, current uint32) {
		if mode, ok := parseMode(text, fileMode(current&0o7777), false); ok && unixPerm(mode) > 0o7777 {
			t.Errorf("%q gave mode %o", text, unixPerm(mode))
		}
	})
}

func FuzzVersions(f *testing.F) {
	f.Add("1:2.0~rc1-1", "2.0")
	f.Add("", "~")
	f.Add("a-b-c", "1.a2")
	f.Fuzz(func(t *testing.T, a, b string) {
		if CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Errorf("%q and %q are not ordered", a, b)
		}
		if CompareVersions(a, a) != 0 {
			t.Errorf("%q differs from itself", a)
		}
	})
}

func FuzzSources(f *testing.F) {
	f.Add("deb [signed-by=/k] http://x y z\n")
	f.Add("Types: deb\nURIs: http://x\nSuites: y\nComponents: z\n w\n\nEnabled: no\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok, _ := parseOneLine(text); ok && (s.uri == "" || s.suite == "") {
			t.Errorf("%q is an entry without URI or suite: %+v", text, s)
		}
		sources, _ := parseDeb822(text)
		for _, s := range sources {
			if s.uri == "" || s.suite == "" {
				t.Errorf("%q has an entry without URI or suite: %+v", text, s)
			}
		}
	})
}

func FuzzSed(f *testing.F) {
	for _, seed := range []string{"s/a/b/g", "1,$d", "/x/,/y/p", "$!d", "s#a#\\1#", "a text", "2q", "s/[/x/", "1~2p", "y/a/b/"} {
		f.Add(seed, "one\ntwo\nx")
	}
	f.Fuzz(func(t *testing.T, script, text string) {
		if len(script) > 200 || len(text) > 1000 || !utf8.ValidString(script) {
			return
		}
		commands, err := parseSed(script, false)
		if err == nil {
			runSed(commands, text, false)
		}
	})
}
