package observe

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Meaning returns what else will be observed differently when f is at name on h, because a product reads the file.
type Meaning func(h *Host, name string, f File) []Expectation

var meanings []Meaning

// AddMeanings adds the meanings of files to products. The registry of modules calls it during initialization.
func AddMeanings(more ...Meaning) { meanings = append(meanings, more...) }

// Placed returns everything that will be observed differently when f is at name on h: the file, its checksum, the
// entries of its directory, the program of that name, the unit of a unit file, the names in /etc/hosts, and its meaning
// to products (see AddMeanings). Placing an absent file means removing the existing one.
func Placed(h *Host, name string, f File) []Expectation {
	expect := []Expectation{Files.Expect(name, f), Paths.Expect(name, f.Exists())}
	switch {
	case f.Type == Regular && !f.Truncated:
		sum := sha256.Sum256(f.Content)
		expect = append(expect, Sums.Expect(name, hex.EncodeToString(sum[:])))
	case !f.Exists():
		expect = append(expect, Sums.Expect(name, ""))
	default: // only a regular file has a checksum
		expect = append(expect, Sums.Unknown(name, name+" is about to change"))
	}
	if f.Type == Directory {
		if known, ok := h.Known(Dirs.Key(name)); !ok || !known.(Listing).Exists {
			expect = append(expect, Dirs.Expect(name, Listing{Exists: true}))
		}
	} else if f.Type != Symlink {
		expect = append(expect, Dirs.Expect(name, Listing{}))
	}
	expect = append(expect, placedProgram(name, f)...)
	expect = append(expect, placedInDirectory(h, name, f.Exists())...)
	for _, meaning := range meanings {
		expect = append(expect, meaning(h, name, f)...)
	}
	if dir, base := path.Split(name); strings.HasSuffix(dir, "/systemd/system/") && CheckUnitName(base) == nil {
		expect = append(expect, Units.Unknown(base, "its unit file "+name+" is about to change"))
	}
	if name == "/etc/hosts" && f.Type == Regular {
		expect = append(expect, resolved(h, f)...)
	}
	return expect
}

// TreeGone returns the expectation that everything below a directory disappears along with it, including what earlier
// steps were expected to put there. Placed returns the changes to the directory itself.
func TreeGone(dir string) Expectation {
	gone := map[string]any{
		Files.Name: File{}, Paths.Name: false, Sums.Name: "", Dirs.Name: Listing{},
	}
	return Expectation{
		Match: func(k Key) bool {
			_, ok := gone[k.Kind]
			return ok && strings.HasPrefix(k.Name, strings.TrimSuffix(dir, "/")+"/")
		},
		Values: func(k Key) any { return gone[k.Kind] },
	}
}

// placedInDirectory updates the listing of the parent directory if it is already known. Otherwise the listing cannot be
// derived from the change alone.
func placedInDirectory(h *Host, name string, exists bool) []Expectation {
	parent, base := path.Split(name)
	parent = path.Clean(parent)
	var expect []Expectation
	if before, ok := h.Known(Files.Key(name)); ok && before.(File).Exists() == exists {
		return nil
	}
	if known, ok := h.Known(Dirs.Key(parent)); ok {
		expect = append(expect, Dirs.ExpectUpdate(parent, known.(Listing), func(d Listing) Listing {
			d.Exists = true
			d.Entries = slices.DeleteFunc(slices.Clone(d.Entries), func(e string) bool { return e == base })
			if exists {
				d.Entries = append(d.Entries, base)
				slices.Sort(d.Entries)
			}
			return d
		}))
	} else {
		expect = append(expect, Dirs.Unknown(parent, name+" is about to change"))
	}
	return expect
}

// resolved returns what the names in a new hosts file resolve to. Debian's nsswitch.conf consults that file first, and
// its answer is final.
func resolved(h *Host, f File) []Expectation {
	var expect []Expectation
	now := HostsFile(string(f.Content))
	for name, addrs := range now {
		expect = append(expect, Resolves.Expect(name, addrs))
	}
	if before, ok := h.Known(Files.Key("/etc/hosts")); ok {
		for name := range HostsFile(string(before.(File).Content)) {
			if _, still := now[name]; !still {
				expect = append(expect, Resolves.Unknown(name, "its entry in /etc/hosts is about to go"))
			}
		}
	}
	return expect
}

// HostsFile parses hosts(5) and returns the sorted addresses of each name and alias.
func HostsFile(text string) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			names[name] = sortedAddrs(append(names[name], addr))
		}
	}
	return names
}
