package machine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Durations in the lab, rounded from measurements on a small VM with a nearby mirror.
const (
	updateTime    = 3 * time.Second
	downloadTime  = 500 * time.Millisecond // per package
	configureTime = 1 * time.Second        // per package
)

type aptCall struct {
	*Call
	o        options
	config   map[string]string
	recorder string
}

func aptGet(_ context.Context, c *Call) int {
	o, ok := c.options("yqso:t:fmdVu", "yes", "assume-yes", "assume-no", "quiet?", "simulate", "just-print", "dry-run", "no-act", "option=", "no-install-recommends", "install-recommends", "no-install-suggests", "purge", "auto-remove",
		"autoremove", "fix-broken", "allow-downgrades", "allow-change-held-packages", "allow-remove-essential", "reinstall", "only-upgrade", "no-upgrade", "target-release=", "no-remove", "with-new-pkgs", "force-yes",
		"allow-releaseinfo-change", "error-on=", "print-uris", "download-only", "fix-missing", "default-release=", "verbose-versions", "no-download", "upgradable", "installed", "show-upgraded", "allow-unauthenticated")
	if !ok {
		return 100
	}
	a := &aptCall{Call: c, o: o, config: map[string]string{}, recorder: path.Base(c.Argv[0])}
	for _, text := range o.values("o", "option") {
		key, value, _ := strings.Cut(text, "=")
		if strings.HasSuffix(key, "::") { // can be given several times: all values count
			a.config[strings.ToLower(key)] += value + "\n"
		} else {
			a.config[strings.ToLower(key)] = value
		}
	}
	if len(o.rest) == 0 {
		fmt.Fprintf(c.Stderr, "E: %s: an operation is required\n", path.Base(c.Argv[0]))
		return 100
	}
	if path.Base(c.Argv[0]) == "apt" {
		fmt.Fprint(c.Stderr, "\nWARNING: apt does not have a stable CLI interface. Use with caution in scripts.\n\n")
	}
	verb, names := o.rest[0], o.rest[1:]
	for i, name := range names {
		if name == "--" {
			names = slices.Delete(names, i, i+1)
			break
		}
	}
	switch verb {
	case "update":
		return a.update()
	case "install", "reinstall", "remove", "purge", "autoremove", "autopurge", "upgrade", "full-upgrade", "dist-upgrade":
		return a.change(verb, names)
	case "clean", "autoclean", "auto-clean", "check":
		return 0
	case "search", "show", "policy", "madison":
		return c.Run(append([]string{"apt-cache", verb}, names...)...)
	case "list", "download", "source", "build-dep", "changelog":
		return notSimulated(c, verb)
	}
	fmt.Fprintf(c.Stderr, "E: Invalid operation %s\n", verb)
	return 100
}

func (a *aptCall) fail(format string, args ...any) int {
	fmt.Fprintf(a.Stderr, format+"\n", args...)
	return 100
}

func (a *aptCall) simulated() bool {
	return a.o.has("s", "simulate", "just-print", "dry-run", "no-act")
}

// lock waits for dpkg's lock for as long as DPkg::Lock::Timeout says, on the lab's clock.
func (a *aptCall) lock(file, what string) int {
	if a.User != "root" {
		return a.fail("E: Could not open lock file %s - open (13: Permission denied)\nE: Unable to %s, are you root?", file, what)
	}
	by, left := a.Machine.aptLock()
	if left <= 0 {
		return 0
	}
	limit := time.Duration(0)
	if text := a.config["dpkg::lock::timeout"]; text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			return a.fail("E: DPkg::Lock::Timeout must be a number, not %s", text)
		}
		limit = time.Duration(seconds) * time.Second
		if seconds < 0 {
			limit = left + time.Second
		}
	} else if path.Base(a.Argv[0]) == "apt" {
		limit = 120 * time.Second
	}
	for waited := time.Duration(0); left > 0 && waited < limit; waited += time.Second {
		fmt.Fprintf(a.Stdout, "Waiting for cache lock: Could not get lock %s. It is held by process %d (%s)...\n", file, lockPID(by), by)
		if !a.Spend(time.Second) {
			return 130
		}
		_, left = a.Machine.aptLock()
	}
	if left <= 0 {
		return 0
	}
	refusal := fmt.Sprintf("E: Unable to %s, is another process using it?", what)
	if limit > 0 {
		return a.fail("%s", refusal) // the waiting loop has already printed who holds it
	}
	return a.fail("E: Could not get lock %s. It is held by process %d (%s)\n%s", file, lockPID(by), by, refusal)
}

const (
	frontendLock = "/var/lib/dpkg/lock-frontend"
	listsLock    = "/var/lib/apt/lists/lock"
)

func (a *aptCall) change(verb string, names []string) int {
	if !a.simulated() {
		if code := a.lock(frontendLock, "acquire the dpkg frontend lock ("+frontendLock+")"); code != 0 {
			return code
		}
	}
	if _, problem := a.Machine.sources(); problem != "" {
		return a.fail("%s", problem)
	}
	a.printf("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	if code := a.unfinished(); code != 0 {
		return code
	}
	p := a.Machine.packages
	var plan transaction
	var kept []string
	var err error
	switch verb {
	case "install", "reinstall":
		plan, err = a.planInstall(names, verb == "reinstall" || a.o.has("reinstall"))
	case "remove", "purge":
		plan, err = a.planRemove(names, verb == "purge" || a.o.has("purge"))
	case "upgrade":
		plan, kept, err = p.upgrades(false)
	case "full-upgrade", "dist-upgrade":
		plan, kept, err = p.upgrades(true)
	}
	if err != nil {
		// The explanation of unmet dependencies goes to standard output, the error to standard error.
		text := err.Error()
		if before, after, ok := strings.Cut(text, "\nE: "); ok {
			a.printf("%s\n", before)
			text = "E: " + after
		}
		return a.fail("%s", text)
	}
	if verb == "autoremove" || verb == "autopurge" || a.o.has("auto-remove", "autoremove") {
		plan.remove = append(plan.remove, p.orphans()...)
		plan.purge = plan.purge || verb == "autopurge" || a.o.has("purge")
	}
	return a.carryOut(plan, kept)
}

// unfinished configures what an earlier run left half-configured, as apt does before anything else.
func (a *aptCall) unfinished() int {
	for _, i := range a.Machine.packages.all() {
		if i.status != statusHalfConfigured || a.simulated() {
			continue
		}
		a.printf("1 not fully installed or removed.\n")
		if err := a.Machine.packages.configure(i.pkg.Name, a.Stdout, a.applyOptions()); err != nil {
			return a.dpkgFailed(err, i.pkg.Name)
		}
	}
	return 0
}

func (a *aptCall) planInstall(names []string, again bool) (transaction, error) {
	p := a.Machine.packages
	var wanted, remove []string
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, "-") && len(name) > 1:
			remove = append(remove, strings.TrimSuffix(name, "-"))
		case strings.HasSuffix(name, "+"):
			wanted = append(wanted, strings.TrimSuffix(name, "+"))
		default:
			wanted = append(wanted, name)
		}
	}
	plan := transaction{asked: map[string]bool{}}
	for _, name := range wanted {
		bare, version, _ := strings.Cut(name, "=")
		installed, have := p.Installed(bare)
		if a.o.has("only-upgrade") && !have {
			a.printf("Skipping %s, it is not installed and only upgrades are requested.\n", bare)
			wanted = slices.DeleteFunc(slices.Clone(wanted), func(n string) bool { return n == name })
			continue
		}
		if have && version == "" {
			versions := p.visible(bare)
			if len(versions) == 0 || CompareVersions(versions[0].Version, installed) <= 0 {
				a.printf("%s is already the newest version (%s).\n", bare, installed)
			}
		}
	}
	plan, err := p.resolve(p.visibleOrInstalled, wanted, remove)
	if err == nil && again {
		for _, name := range wanted {
			i, have := p.get(name)
			if have && i.status == statusInstalled && !slices.ContainsFunc(plan.install, func(pkg Package) bool { return pkg.Name == name }) {
				plan.install = append(plan.install, i.pkg)
			}
		}
	}
	return plan, err
}

func (a *aptCall) planRemove(names []string, purge bool) (transaction, error) {
	p := a.Machine.packages
	var remove []string
	for _, name := range names {
		i, have := p.get(name)
		switch {
		case have && (i.status != statusConfigFiles || purge):
			remove = append(remove, name)
		case have || len(a.Machine.archive.Versions(name, a.Machine.Debian())) > 0:
			a.printf("Package '%s' is not installed, so not removed\n", name)
		case strings.ContainsAny(name, "*?"):
			for _, other := range p.List() {
				if ok, err := path.Match(name, other); ok && err == nil {
					remove = append(remove, other)
				}
			}
		default:
			return transaction{}, &missingError{name: name}
		}
	}
	plan, err := p.resolve(p.visible, nil, remove)
	plan.purge = purge
	for _, name := range plan.remove {
		if i, _ := p.get(name); i.pkg.Essential && !a.o.has("allow-remove-essential") {
			return plan, saying("WARNING: The following essential packages will be removed.\nThis should NOT be done unless you know exactly what you are doing!\n  %s\nE: Essential packages were removed and -y was used without --allow-remove-essential.", name)
		}
	}
	return plan, err
}

func (a *aptCall) section(title string, names []string) {
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	a.printf("%s\n  %s\n", title, strings.Join(names, " "))
}

func (a *aptCall) carryOut(plan transaction, kept []string) int {
	p := a.Machine.packages
	var fresh, upgraded, downgraded, removed, held []string
	for _, pkg := range plan.install {
		switch i, have := p.get(pkg.Name); {
		case !have || i.status == statusConfigFiles:
			fresh = append(fresh, pkg.Name)
		case CompareVersions(pkg.Version, i.pkg.Version) < 0:
			downgraded = append(downgraded, pkg.Name)
		default:
			upgraded = append(upgraded, pkg.Name)
		}
	}
	for _, name := range slices.Concat(upgraded, downgraded, plan.remove) {
		if i, _ := p.get(name); i.hold {
			held = append(held, name)
		}
	}
	for _, name := range plan.remove {
		removed = append(removed, name+map[bool]string{true: "*"}[plan.purge])
	}
	if orphans := p.orphans(); len(orphans) > 0 && len(plan.remove) == 0 {
		a.section("The following packages were automatically installed and are no longer required:", orphans)
		a.printf("Use 'apt autoremove' to remove them.\n")
	}
	a.section("The following packages will be REMOVED:", slices.Clone(removed))
	a.section("The following NEW packages will be installed:", slices.Clone(fresh))
	a.section("The following packages have been kept back:", slices.Clone(kept))
	a.section("The following held packages will be changed:", held)
	a.section("The following packages will be upgraded:", slices.Clone(upgraded))
	a.section("The following packages will be DOWNGRADED:", downgraded)
	older := ""
	if len(downgraded) > 0 {
		older = fmt.Sprintf("%d downgraded, ", len(downgraded))
	}
	a.printf("%d upgraded, %d newly installed, %s%d to remove and %d not upgraded.\n", len(upgraded), len(fresh), older, len(removed), len(kept))
	unfinished := p.unfinished(plan)
	if len(unfinished) > 0 {
		a.printf("%d not fully installed or removed.\n", len(unfinished))
	}
	yes := a.o.has("y", "yes", "assume-yes")
	if len(held) > 0 && yes && !a.o.has("allow-change-held-packages") {
		return a.fail("E: Held packages were changed and -y was used without --allow-change-held-packages.")
	}
	if len(downgraded) > 0 && yes && !a.o.has("allow-downgrades") {
		return a.fail("E: Packages were downgraded and -y was used without --allow-downgrades.")
	}
	if len(removed) > 0 && a.o.has("no-remove") {
		return a.fail("E: Packages need to be removed but remove is disabled.")
	}
	if a.simulated() {
		a.show(plan)
		return 0
	}
	for name := range plan.asked {
		p.mark(name, false)
	}
	if plan.empty() {
		return 0
	}
	additions := len(fresh) + len(upgraded) + len(downgraded) + len(removed)
	if !a.o.has("y", "yes", "assume-yes", "force-yes") && additions > len(plan.asked)-a.present(plan.asked) {
		a.printf("Do you want to continue? [Y/n] ")
		if answer, err := readLine(a.Stdin); a.o.has("assume-no") || err != nil && answer == "" || answer != "" && !strings.HasPrefix(strings.ToLower(answer), "y") {
			a.printf("Abort.\n")
			return 1
		}
	}
	for i, pkg := range plan.install {
		a.printf("Get:%d http://deb.example.org/debian %s/%s amd64 %s amd64 %s [100 kB]\n", i+1, a.Machine.Debian(), cmp.Or(pkg.Component, "main"), pkg.Name, pkg.Version)
	}
	if !a.Spend(time.Duration(len(plan.install))*(downloadTime+configureTime) + time.Duration(len(plan.remove))*configureTime) {
		return 130
	}
	var out bytes.Buffer
	err := p.apply(plan, io.MultiWriter(a.Stdout, &out), a.applyOptions())
	if err != nil {
		var names []string
		for _, pkg := range plan.install {
			if i, _ := p.get(pkg.Name); i.status != statusInstalled {
				names = append(names, pkg.Name)
			}
		}
		for _, name := range plan.remove {
			if i, have := p.get(name); have && i.status == statusInstalled {
				names = append(names, name)
			}
		}
		return a.dpkgFailed(err, names...)
	}
	return 0
}

// present returns how many of the requested packages are installed.
func (a *aptCall) present(asked map[string]bool) int {
	n := 0
	for name := range asked {
		if _, ok := a.Machine.packages.Installed(name); ok {
			n++
		}
	}
	return n
}

func (a *aptCall) dpkgFailed(err error, names ...string) int {
	fmt.Fprintf(a.Stderr, "%v\nErrors were encountered while processing:\n %s\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n", err, strings.Join(names, "\n "))
	return 100
}

func (a *aptCall) applyOptions() applyOptions {
	o := applyOptions{by: a.recorder}
	switch flags := a.config["dpkg::options::"]; {
	case strings.Contains(flags, "force-confnew"):
		o.conffiles = conffileReplace
	case strings.Contains(flags, "force-confold"), strings.Contains(flags, "force-confdef"):
		o.conffiles = conffileKeep
	}
	return o
}

// show prints what would be done, in the format of apt-get -s.
func (a *aptCall) show(plan transaction) {
	p := a.Machine.packages
	verb := "Remv"
	if plan.purge {
		verb = "Purg"
	}
	for _, name := range plan.remove {
		i, _ := p.get(name)
		a.printf("%s %s [%s]\n", verb, name, i.pkg.Version)
	}
	origin := "Debian:" + releases[a.Machine.Debian()].point + "/" + a.Machine.Debian()
	for _, pkg := range plan.install {
		old := ""
		if version, ok := p.Installed(pkg.Name); ok {
			old = "[" + version + "] "
		}
		a.printf("Inst %s %s(%s %s [amd64])\n", pkg.Name, old, pkg.Version, origin)
	}
	for _, pkg := range append(slices.Clone(plan.install), p.unfinished(plan)...) {
		a.printf("Conf %s (%s %s [amd64])\n", pkg.Name, pkg.Version, origin)
	}
}
