package apt

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// runLimit bounds one apt-get: a product may be 1 GB of packages over a slow line. Waiting for a lock is added to it.
const runLimit = 45 * time.Minute

// environment keeps apt and the packages' scripts from asking questions.
func environment() map[string]string {
	return map[string]string{
		"DEBIAN_FRONTEND":          "noninteractive",
		"APT_LISTCHANGES_FRONTEND": "none",
		"NEEDRESTART_MODE":         "l", // only list what needs a restart: no service goes down unasked
		"LC_ALL":                   "C",
	}
}

// aptGet returns an apt-get command that acts. Configuration files that somebody has edited are kept; the others
// follow the package (dpkg's confdef and confold).
func (m *Module) aptGet(sources []observe.TextFile, args ...string) modules.Run {
	argv := []string{
		"apt-get", "-y", "-q",
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
		"-o", m.lockOption(),
	}
	run := m.run(sources, append(argv, args...))
	run.Long = true
	return run
}

// Update returns the command that fetches the package index, as a task of this module would run it. It is for modules
// that install the packages of their product. Errors are explained in terms of sources, the source files that the
// caller knows.
func Update(sources []observe.TextFile) modules.Run {
	return new(Module).update(sources)
}

func (m *Module) update(sources []observe.TextFile) modules.Run {
	run := m.run(sources, updateCommand(m.lockOption()))
	run.Limit, run.Fetches = 10*time.Minute+m.LockTimeout, true
	return run
}

// Install returns the command that installs packages without recommended ones. It is for the same modules as Update.
func Install(sources []observe.TextFile, names []string) modules.Run {
	return new(Module).aptGet(sources, append([]string{"--no-install-recommends", "install", "--"}, names...)...)
}

// lockOption makes apt wait for the locks of dpkg. It does not cover the locks of the index and of the downloads; for
// these the command is run again (Run.Retry).
func (m *Module) lockOption() string {
	return fmt.Sprintf("DPkg::Lock::Timeout=%.0f", m.LockTimeout.Seconds())
}

func (m *Module) run(sources []observe.TextFile, argv []string) modules.Run {
	return modules.Run{
		Argv:     argv,
		Env:      environment(),
		Limit:    runLimit + m.LockTimeout,
		Retry:    []string{"Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock directory", "locked by another process"},
		Patience: m.LockTimeout,
		Explain: func(exit int, stdout, stderr []byte) error {
			return explain(m.LockTimeout, sources, stdout, stderr)
		},
	}
}

var (
	lockHolder   = pattern.New(`Could not get lock (\S+?)\.? It is held by process (\d+)(?: \(([^)]*)\))?`)
	lockPath     = pattern.New(`(?:Could not get lock|Unable to lock directory) (\S+)`)
	lockRefused  = pattern.New(`Unable to acquire the dpkg frontend lock \((\S+)\)`)
	unauthorized = pattern.New(`(?:Failed to fetch|Err:\d+) (https?://\S+)[^\n]*\s401\s+Unauthorized`)
	conflict     = pattern.New(`Conflicting values set for option Signed-By regarding source (\S+) (\S+):`)
	dpkgLock     = pattern.New(`dpkg: error: (.* lock) (?:is|was) locked by another process with pid (\d+)`)
	noKey        = pattern.New(`NO_PUBKEY ([0-9A-F]+)`)
	unresolved   = pattern.New(`(?:Could not resolve|Temporary failure resolving) '([^']+)'`)
	unconfigured = pattern.New(`(?m)^dpkg: error processing package (\S+) \(--configure\)`)
)

// explain translates apt's messages into what is wrong and what to do. It returns nil if there is nothing to add to
// the usual report.
func explain(waited time.Duration, sources []observe.TextFile, stdout, stderr []byte) error {
	text := string(stderr)
	problem := problemOf(stdout, stderr)
	locked := text
	if lockRefused.MatchString(text) {
		// apt prints who holds the lock on standard output while it waits, and does not repeat that at the end.
		locked += string(stdout)
	}
	switch {
	case lockHolder.MatchString(locked):
		all := lockHolder.FindAllStringSubmatch(locked, -1)
		f := all[len(all)-1]
		holder := "process " + f[2]
		if f[3] != "" {
			holder += " (" + f[3] + ")"
		}
		return fmt.Errorf("the package manager is in use: %s held %s for more than %s; wait for it to finish, or increase lock_timeout", holder, f[1], waited)
	case lockPath.MatchString(text):
		return fmt.Errorf("the package manager is in use: another process held %s for more than %s; find it with `fuser -v %[1]s`, or increase lock_timeout", lockPath.FindStringSubmatch(text)[1], waited)
	case lockRefused.MatchString(text):
		return fmt.Errorf("the package manager is in use: another process held %s for more than %s; find it with `fuser -v %[1]s`, or increase lock_timeout", lockRefused.FindStringSubmatch(text)[1], waited)
	case dpkgLock.MatchString(text):
		f := dpkgLock.FindStringSubmatch(text)
		return fmt.Errorf("the package manager is in use: process %s held the %s for more than %s; wait for it to finish, or increase lock_timeout", f[2], f[1], waited)
	case strings.Contains(text, "No space left on device"), strings.Contains(text, "You don't have enough free space"):
		return fmt.Errorf("a file system is full (see `df -h / /boot /var`): free some space, for example with `apt-get clean`, and run again; apt reported: %s", first(text, "No space left on device", "enough free space"))
	case protectedIn(text) != nil:
		p := protectedIn(text)
		return fmt.Errorf("apt would have removed %s, and %s prevented it: nothing was done; %s, and leave the hook in place; apt reported: %s", p.Name, p.Protection.By, p.Protection.Cause, first(text, p.Protection.Mark))
	case unauthorized.MatchString(text):
		uri := unauthorized.FindStringSubmatch(text)[1]
		where := "the file in /etc/apt/sources.list.d that lists it"
		if f := fileOf(sources, uri); f != "" {
			where = f
		}
		return fmt.Errorf("%s answers 401 Unauthorized: an enterprise repository needs a subscription; disable %s: repository { name = %q, enabled = false }", host(uri), where, stem(where))
	case conflict.MatchString(text):
		f := conflict.FindStringSubmatch(text)
		return signedTwice(f[1], f[2], sources)
	case noKey.MatchString(text):
		return fmt.Errorf("a repository is signed with key %s, which this host does not have: add it with key { … } and set signed_by to its path; apt reported: %s", noKey.FindStringSubmatch(text)[1], oneLine(problem))
	case strings.Contains(text, "dpkg was interrupted"):
		return fmt.Errorf("an earlier run of dpkg was interrupted: run `dpkg --configure -a` on the host, resolve any errors that it reports, and run again")
	case unresolved.MatchString(text):
		return fmt.Errorf("the host cannot resolve %s: check /etc/resolv.conf and the network, then run again", unresolved.FindStringSubmatch(text)[1])
	case unconfigured.MatchString(text + "\n" + string(stdout)):
		return unconfiguredError(text+"\n"+string(stdout), problem)
	case strings.Contains(text, heldChanged):
		return fmt.Errorf("a package is on hold on this host: see `apt-mark showhold`, and release it with `apt-mark unhold` if the hold is not intended")
	case strings.Contains(text, downgraded):
		return fmt.Errorf("a package would be downgraded: allow_downgrade = true permits it")
	case problem != "":
		return fmt.Errorf("apt refused: %s", oneLine(problem))
	}
	return nil
}

func signedTwice(uri, suite string, sources []observe.TextFile) error {
	return fmt.Errorf("%s %s is defined in two files with different Signed-By: remove or disable one of %s", uri, suite, strings.Join(filesOf(sources, uri), ", "))
}

// explained adds to the error of a query the files that define the repository that apt complains about: apt itself
// names a file only if it cannot parse a line of it.
func explained(ctx context.Context, h modules.Host, err error) error {
	f := conflict.FindStringSubmatch(fmt.Sprint(err))
	if err == nil || f == nil {
		return err
	}
	sources, unread := knownSources(ctx, h)
	if unread != nil || len(sources) == 0 {
		return err
	}
	return signedTwice(f[1], f[2], sources)
}

// protectedIn returns the package whose protection has stopped apt, according to apt's output, or nil.
func protectedIn(text string) *modules.Package {
	for _, p := range known {
		if p.Protection != nil && strings.Contains(text, p.Protection.Mark) {
			return &p
		}
	}
	return nil
}

// unconfiguredError names the packages whose installation scripts failed, and what to do about the first one for which
// advice is known.
func unconfiguredError(text, problem string) error {
	var names []string
	for _, f := range unconfigured.FindAllStringSubmatch(text, -1) {
		names = append(names, f[1])
	}
	hint := "see `journalctl -b` for the cause"
	for _, name := range names {
		if advice := known[name].Unconfigured; advice != "" {
			hint = advice
			break
		}
	}
	return fmt.Errorf("%s: unpacked but not configured: %s, and run again to continue the installation; apt reported: %s", strings.Join(names, ", "), hint, oneLine(problem))
}

// first returns the first line of text that contains one of the words.
func first(text string, words ...string) string {
	for line := range strings.Lines(text) {
		for _, w := range words {
			if strings.Contains(line, w) {
				return strings.TrimSpace(line)
			}
		}
	}
	return oneLine(text)
}

func oneLine(text string) string {
	return strings.Join(strings.Split(strings.TrimSpace(text), "\n"), "; ")
}

// host returns the host of a URI.
func host(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	name, _, _ := strings.Cut(rest, "/")
	return name
}
