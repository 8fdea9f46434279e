package observe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// aptLimit bounds one read-only run of apt, which may have to rebuild its cache first.
const aptLimit = 2 * time.Minute

// Candidate is what apt would install of a package.
type Candidate struct {
	// Version is the candidate's version; empty if no source offers the package.
	Version string
	// Installed is the installed version; empty if there is none.
	Installed string
	// Listed says that a source has a version of it. If it is no candidate, it is pinned below zero.
	Listed bool
	// Remark is what apt says of a package that no source offers, beyond that; mostly nothing.
	Remark string
}

// Candidates observes by `apt-cache policy` what apt would install of packages.
var Candidates = &Kind[Candidate]{
	Name: "apt-candidate", What: "whether and in which version a source offers package %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{remote.Argv(aptLimit, append([]string{"apt-cache", "policy", "--"}, names...)...)}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Candidate, error)) {
		a := answers[0]
		var err error
		if a.Exit != 0 {
			err = aptError("apt-cache policy", a)
		}
		policies := parsePolicy(a.Stdout)
		for _, name := range names {
			c := policies[name]
			c.Remark = remark(name, a.Stderr)
			tell(name, c, err)
		}
	},
}

// remark is the note ("N: …") of apt that names a package and says more than that it cannot be located.
func remark(name string, stderr []byte) string {
	for _, line := range lines(stderr) {
		if note, ok := strings.CutPrefix(line, "N: "); ok && !strings.HasPrefix(note, "Unable to locate package") && slices.Contains(strings.FieldsFunc(note, func(r rune) bool {
			return r == ' ' || r == ';' || r == ',' || r == '"' || r == ':'
		}), name) {
			return note
		}
	}
	return ""
}

// parsePolicy reads blocks of the form "NAME:\n  Installed: V\n  Candidate: V\n  Version table:…".
// apt leaves out a package that it has never heard of.
func parsePolicy(out []byte) map[string]Candidate {
	policies := map[string]Candidate{}
	name := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && line[0] != ' ' {
			name = strings.TrimSuffix(line, ":")
			policies[name] = Candidate{}
			continue
		}
		label, version, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok && name != "" && strings.HasSuffix(line, " Packages") {
			c := policies[name]
			c.Listed = true
			policies[name] = c
		}
		if !ok || name == "" {
			continue
		}
		if version == "(none)" {
			version = ""
		}
		c := policies[name]
		switch label {
		case "Installed":
			c.Installed = version
		case "Candidate":
			c.Version = version
		}
		policies[name] = c
	}
	return policies
}

// AptError is a failure of a command of apt that reads.
type AptError struct {
	// Command is what was run, Problem what it said: its "E:" lines.
	Command, Problem string
	Exit             int
}

func (e *AptError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Command, remote.Ending(e.Exit), strings.ReplaceAll(e.Problem, "\n", "; "))
}

func aptError(command string, a remote.Answer) error {
	problem := AptProblem(a.Stdout, a.Stderr)
	if problem == "" {
		problem = lastLine(a.Stderr)
	}
	return &AptError{Command: command, Exit: a.Exit, Problem: problem}
}

// Providers observes which packages provide a virtual one, sorted: what `apt-cache showpkg` lists under "Reverse
// Provides".
var Providers = &Kind[[]string]{
	Name: "apt-providers", What: "which packages provide %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{remote.Argv(aptLimit, append([]string{"apt-cache", "showpkg", "--"}, names...)...)}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []string, error)) {
		var err error
		if answers[0].Exit != 0 {
			err = aptError("apt-cache showpkg", answers[0])
		}
		providers := parseShowpkg(answers[0].Stdout)
		for _, name := range names {
			tell(name, providers[name], err)
		}
	},
}

func parseShowpkg(out []byte) map[string][]string {
	providers := map[string][]string{}
	name, listing := "", false
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if next, ok := strings.CutPrefix(line, "Package: "); ok {
			name, listing = next, false
			continue
		}
		if line == "Reverse Provides:" {
			listing = true
			continue
		}
		if fields := strings.Fields(line); listing && len(fields) > 1 && !slices.Contains(providers[name], fields[0]) {
			providers[name] = append(providers[name], fields[0])
		}
	}
	for _, all := range providers {
		slices.Sort(all)
	}
	return providers
}

// Transaction is what one call of apt-get would do.
type Transaction struct {
	Changes []PackageChange
	// Unfinished are packages beside those that an earlier run has left unconfigured, which it would configure.
	Unfinished []string
	// Problem is what apt-get says if it would refuse, its "E:" lines and the dependencies that it
	// names; empty otherwise.
	Problem string
}

// PackageChange is what happens to one package in a transaction.
type PackageChange struct {
	Name string
	// From is the version before; empty for a package that is new.
	From string
	// To is the version afterwards; empty for a package that is removed.
	To string
}

// Removed reports whether the package goes away.
func (c PackageChange) Removed() bool { return c.To == "" }

// Transactions observes by `apt-get --simulate` what a call of apt-get would do. The name is the
// command and its arguments separated by spaces: "full-upgrade", "install chrony postfix",
// "--no-install-recommends install gdisk". No lock is taken, and what -y refuses is refused.
var Transactions = &Kind[Transaction]{
	Name: "apt-transaction", What: "what `apt-get %s` will do",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Argv(aptLimit, append([]string{"apt-get", "-s", "-y", "-q", "-o", "Debug::NoLocking=true"}, strings.Fields(name)...)...)
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Transaction, error)) {
		for i, name := range names {
			t, err := parseTransaction(answers[i])
			tell(name, t, err)
		}
	},
}

// parseTransaction reads the lines "Inst NAME [OLD] (NEW ORIGIN [ARCH]) …", "Remv NAME [OLD]" and
// "Purg NAME [OLD]"; a "Conf" line without an "Inst" is of a package that was left unconfigured.
func parseTransaction(a remote.Answer) (Transaction, error) {
	var t Transaction
	var configured []string
	if a.TimedOut() {
		return t, fmt.Errorf("apt-get --simulate did not end within %s", aptLimit)
	}
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		c := PackageChange{Name: fields[1]}
		for _, field := range fields[2:] {
			if v, ok := strings.CutPrefix(field, "["); ok && c.To == "" && c.From == "" {
				c.From = strings.TrimSuffix(v, "]")
			}
			if v, ok := strings.CutPrefix(field, "("); ok && c.To == "" {
				c.To = strings.TrimSuffix(v, ")")
			}
		}
		switch fields[0] {
		case "Inst":
			if c.To == "" {
				return t, fmt.Errorf("apt-get --simulate printed %q, expected a version in parentheses", strings.TrimSpace(line))
			}
		case "Remv", "Purg":
			c.To = ""
		case "Conf":
			configured = append(configured, c.Name)
			continue
		default:
			continue
		}
		t.Changes = append(t.Changes, c)
	}
	for _, name := range configured {
		if !slices.ContainsFunc(t.Changes, func(c PackageChange) bool { return c.Name == name && !c.Removed() }) {
			t.Unfinished = append(t.Unfinished, name)
		}
	}
	if a.Exit != 0 {
		t.Problem = AptProblem(a.Stdout, a.Stderr)
		if t.Problem == "" {
			return t, fmt.Errorf("apt-get --simulate: %s: %s", remote.Ending(a.Exit), lastLine(a.Stderr))
		}
	}
	return t, nil
}

// AptProblem is what apt-get says about a failure: the dependencies that it lists as unmet, then
// its "E:" lines, one problem a line. It is empty if there is neither.
func AptProblem(stdout, stderr []byte) string {
	var problem []string
	unmet := false
	for line := range strings.Lines(string(stdout)) {
		switch {
		case strings.HasPrefix(line, "The following packages have unmet dependencies"):
			unmet = true
		case unmet && strings.HasPrefix(line, " "):
			problem = append(problem, strings.Join(strings.Fields(line), " "))
		default:
			unmet = false
		}
	}
	for line := range strings.Lines(string(stderr)) {
		if strings.HasPrefix(line, "E: ") {
			problem = append(problem, strings.TrimSpace(line))
		}
	}
	return strings.Join(problem, "\n")
}

// Upgradable observes the names of the packages that `apt-get full-upgrade` would install, upgrade
// or remove, in apt's order. It is the transaction "full-upgrade" for those who only need to know
// whether the host is up to date. Its one observation has no name.
var Upgradable = &Kind[[]string]{
	Name: "apt-upgradable", What: "which packages can be upgraded",
	Ask: func([]string) []remote.Query { return Transactions.Ask([]string{"full-upgrade"}) },
	Parse: func(names []string, answers []remote.Answer, tell func(string, []string, error)) {
		t, err := parseTransaction(answers[0])
		if err == nil && t.Problem != "" {
			err = fmt.Errorf("apt-get full-upgrade would fail: %s", t.Problem)
		}
		changes := []string{}
		for _, c := range t.Changes {
			changes = append(changes, c.Name)
		}
		for _, name := range names {
			tell(name, changes, err)
		}
	},
}

// Index is the state of a host's package index, /var/lib/apt/lists.
type Index struct {
	// Exists says that an index was fetched at all, be it that no source has one.
	Exists bool
	// Age is the time since the index was last brought up to date, by the host's own clock.
	Age time.Duration
	// Stale says that a source or a key was changed since.
	Stale bool
}

// AptStamp is the file whose modification time says when the index was last brought up to date
// completely. Debian's update-notifier, and people's cron jobs, know it under this name; hlplay
// touches it after each apt-get update that succeeds, because apt gives the files in
// /var/lib/apt/lists the server's times and leaves them alone when nothing is new.
const AptStamp = "/var/lib/apt/periodic/update-success-stamp"

// aptLists is the directory of the index.
const aptLists = "/var/lib/apt/lists"

// AptIndex observes the package index. Its one observation has no name.
var AptIndex = &Kind[Index]{
	Complete: func(expected, found Index) Index {
		if expected.Stale && !found.Exists { // what was never fetched need not grow stale to be fetched
			return found
		}
		expected.Age = found.Age // time passes
		return expected
	},
	Name: "apt-index", What: "the age of the package index",
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			{Script: `date +%s`, Inline: true},
			{Script: `stat -c '%y %n' ` + AptStamp + ` /var/lib/apt/lists /var/lib/apt/lists/*Release /var/lib/apt/lists/*_Packages*`, Inline: true},
			{Script: `stat -c '%y %n' /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources /etc/apt/trusted.gpg.d/* /etc/apt/keyrings/* /usr/share/keyrings/*`, Inline: true},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Index, error)) {
		index, err := parseIndex(answers[0].Stdout, answers[1], answers[2])
		for _, name := range names {
			tell(name, index, err)
		}
	},
}

func parseIndex(clock []byte, lists, sources remote.Answer) (Index, error) {
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(clock)), 10, 64)
	if err != nil {
		return Index{}, fmt.Errorf("date +%%s printed %q, expected the seconds since 1970", clock)
	}
	fetched, err := parseTimes(lists)
	if err != nil {
		return Index{}, err
	}
	changed, err := parseTimes(sources)
	if err != nil {
		return Index{}, err
	}
	var index Index
	var newest, newestSource time.Time
	for name, t := range fetched {
		// A trusted source without a Release file has its list of packages only.
		if strings.HasSuffix(name, "Release") || strings.Contains(name, "_Packages") {
			index.Exists = true
		}
		if t.After(newest) {
			newest = t
		}
	}
	if stamp, ok := fetched[AptStamp]; ok {
		newest = stamp
		// Where no source is enabled, there is nothing to fetch. Somebody who empties the directory changes it later.
		dir, there := fetched[aptLists]
		index.Exists = index.Exists || there && !dir.After(stamp)
	}
	for _, t := range changed {
		if t.After(newestSource) {
			newestSource = t
		}
	}
	if index.Exists {
		index.Age = max(0, time.Unix(seconds, 0).Sub(newest))
		index.Stale = newestSource.After(newest)
	}
	return index, nil
}

// statTime is the form of stat's %y.
const statTime = "2006-01-02 15:04:05.999999999 -0700"

// parseTimes reads lines of `stat -c '%y %n'`. Of the files that it was asked for some may be missing, patterns that match
// nothing among them; what it cannot tell for another reason is an error.
func parseTimes(a remote.Answer) (map[string]time.Time, error) {
	complaints := lines(a.Stderr)
	for _, complaint := range complaints {
		if !isAbsence(complaint) {
			return nil, errors.New(complaint)
		}
	}
	if a.Exit != 0 && len(complaints) == 0 {
		return nil, fmt.Errorf("stat: %s", remote.Ending(a.Exit))
	}
	times := map[string]time.Time{}
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 {
			return nil, fmt.Errorf("stat printed %q, expected a time and a name", line)
		}
		t, err := time.Parse(statTime, strings.Join(fields[:3], " "))
		if err != nil {
			return nil, fmt.Errorf("stat printed %q, expected a time and a name: %w", line, err)
		}
		times[fields[3]] = t
	}
	return times, nil
}

// Debconf observes the answers to a package's debconf questions, as `debconf-show PACKAGE` lists
// them: question ("postfix/main_mailer_type") to value. Passwords are left out by debconf itself.
var Debconf = &Kind[map[string]string]{
	Name: "debconf", What: "the debconf answers of package %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Argv(aptLimit, "debconf-show", name)
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]string, error)) {
		for i, name := range names {
			var err error
			if answers[i].Exit != 0 {
				err = fmt.Errorf("debconf-show %s: %s: %s", name, remote.Ending(answers[i].Exit), lastLine(answers[i].Stderr))
			}
			tell(name, parseDebconf(answers[i].Stdout), err)
		}
	},
}

// parseDebconf reads lines of the form "* postfix/mailname: pve1.example.org"; the star, or two
// blanks, says whether the question was seen.
func parseDebconf(out []byte) map[string]string {
	selections := map[string]string{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) < 2 {
			continue
		}
		question, value, ok := strings.Cut(line[2:], ":")
		if ok && question != "" {
			selections[question] = strings.TrimPrefix(value, " ")
		}
	}
	return selections
}

// AptSources observes /etc/apt/sources.list and the *.list and *.sources files of
// /etc/apt/sources.list.d, in that order. Its one observation has no name. Files whose names apt
// itself would ignore are left out (sources.list(5)).
var AptSources = textFiles("apt-sources", "/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources")

// Checksum is what a file's content hashes to, in lower-case hexadecimal. Both are empty for a file
// that is absent; one is where check mode predicts a download of which only the other is given.
type Checksum struct {
	SHA256, SHA512 string
}

// Checksums observes regular files by path, as publishers of keys state their sums.
var Checksums = &Kind[Checksum]{
	Complete: func(expected, found Checksum) Checksum {
		if expected.SHA256 != "" || expected.SHA512 != "" { // one of them is enough to know a file by
			expected.SHA256 = cmp.Or(expected.SHA256, found.SHA256)
			expected.SHA512 = cmp.Or(expected.SHA512, found.SHA512)
		}
		return expected
	},
	Name: "checksum", What: "the checksum of %s",
	Ask: func(names []string) []remote.Query {
		return eachPath(names, sumScript("sha256sum sha512sum"))
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Checksum, error)) {
		parseEachPath(names, answers, tell, func(name string, a remote.Answer) (Checksum, error) {
			if a.Exit == exitAbsent {
				return Checksum{}, nil
			}
			fields := strings.Fields(string(a.Stdout))
			if a.Exit != 0 || len(fields) != 4 || len(fields[0]) != 64 || len(fields[2]) != 128 {
				return Checksum{}, fmt.Errorf("the checksums of %s: %s: %s", name, remote.Ending(a.Exit), lastLine(a.Stderr))
			}
			return Checksum{SHA256: fields[0], SHA512: fields[2]}, nil
		})
	},
}
