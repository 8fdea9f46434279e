package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// listName returns the name of the file in which apt stores an index.
func listName(s source, file string) string {
	_, rest, _ := strings.Cut(s.uri, "://")
	return strings.ReplaceAll(strings.TrimSuffix(rest, "/"), "/", "_") + "_dists_" + s.suite + "_" + file
}

func (a *aptCall) update() int {
	if code := a.lock(listsLock, "lock directory /var/lib/apt/lists/"); code != 0 {
		return code
	}
	sources, problem := a.Machine.sources()
	if problem != "" {
		return a.fail("%s", problem)
	}
	if !a.Spend(updateTime) {
		return 130
	}
	components := map[component]bool{}
	var errors []string
	root := view{m: a.Machine}
	known := map[string]bool{}
	fetched := 0
	seen := map[string]bool{}
	for i, s := range sources {
		id := s.uri + " " + s.suite
		label := fmt.Sprintf("%d %s %s", i+1, strings.TrimSuffix(s.uri, "/"), s.suite)
		repo, ok := a.Machine.archive.repository(s.uri)
		switch {
		case !ok:
			host, _, _ := strings.Cut(strings.SplitN(s.uri+"://", "://", 2)[1], "/")
			a.printf("Err:%s InRelease\n  404  Not Found\n", label)
			errors = append(errors, fmt.Sprintf("E: The repository '%s %s Release' does not have a Release file.", s.uri, s.suite))
			_ = host
			continue
		case repo.Status == 401:
			a.printf("Err:%s InRelease\n  401  Unauthorized [IP: 192.0.2.80 443]\n", label)
			errors = append(errors, fmt.Sprintf("E: Failed to fetch %s/dists/%s/InRelease  401  Unauthorized [IP: 192.0.2.80 443]\nE: The repository '%s %s InRelease' is not signed.", strings.TrimSuffix(s.uri, "/"), s.suite, s.uri, s.suite))
			continue
		case repo.Status != 0 || len(repo.Suites) > 0 && !slices.Contains(repo.Suites, s.suite):
			a.printf("Err:%s Release\n  404  Not Found [IP: 192.0.2.80 80]\n", label)
			errors = append(errors, fmt.Sprintf("E: The repository '%s %s Release' does not have a Release file.", s.uri, s.suite))
			continue
		case !a.Machine.trusted(s, repo.Keyring):
			a.printf("Get:%s InRelease [2,661 B]\nErr:%s InRelease\n  The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 24B30F06ECC1836A4E5EFECBA7BCD1420BFE778E\n", label, label)
			errors = append(errors, fmt.Sprintf("W: GPG error: %s %s InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 24B30F06ECC1836A4E5EFECBA7BCD1420BFE778E\nE: The repository '%s %s InRelease' is not signed.", s.uri, s.suite, s.uri, s.suite))
			continue
		}
		if seen[id] {
			fmt.Fprintf(a.Stderr, "W: Target Packages (%s/binary-amd64/Packages) is configured multiple times in %s:1 and %s:1\n", strings.Join(s.components, "/"), s.file, s.file)
		}
		seen[id] = true
		file := "/var/lib/apt/lists/" + listName(s, "InRelease")
		known[file] = true
		if _, err := root.Stat(file); err == nil {
			a.printf("Hit:%s InRelease\n", label)
		} else {
			a.printf("Get:%s InRelease [151 kB]\n", label)
			fetched++
		}
		if err := writeFile(root, file, "Suite: "+s.suite+"\nComponents: "+strings.Join(s.components, " ")+"\n", 0o644); err != nil {
			errors = append(errors, "E: Write error - write ("+errText(err)+")")
		}
		for _, name := range s.components {
			if !slices.Contains(repo.Components, name) {
				fmt.Fprintf(a.Stderr, "W: Skipping acquire of configured file '%s/binary-amd64/Packages' as repository '%s %s InRelease' doesn't have the component '%s' (component misspelt in sources.list?)\n", name, s.uri, s.suite, name)
				continue
			}
			release, _, _ := strings.Cut(s.suite, "-")
			components[component{release, repo.Prefix + name}] = true
		}
	}
	if entries, err := afero.ReadDir(root, "/var/lib/apt/lists"); err == nil {
		for _, e := range entries {
			if name := "/var/lib/apt/lists/" + e.Name(); strings.HasSuffix(name, "InRelease") && !known[name] {
				_ = root.Remove(name) // the index of a source that has been removed
			}
		}
	}
	p := a.Machine.packages
	generation := a.Machine.archive.now()
	p.mu.Lock()
	p.components, p.generation = components, generation
	p.mu.Unlock()
	now := a.Machine.clock.Now()
	_ = root.Chtimes("/var/lib/apt/lists", now, now) // the directory was created with the machine
	a.Machine.Record(a.recorder, "update package lists")
	if fetched > 0 {
		a.printf("Fetched %d kB in 1s (%d kB/s)\n", fetched*9000, fetched*9000)
	}
	a.printf("Reading package lists...\n")
	if len(errors) == 0 {
		return 0
	}
	for _, e := range errors {
		fmt.Fprintln(a.Stderr, e)
	}
	fmt.Fprintln(a.Stderr, "N: Updating from such a repository can't be done securely, and is therefore disabled by default.\nN: See apt-secure(8) manpage for repository creation and user configuration details.")
	return 100
}
