package machine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Archive is what a lab's machines download from: package repositories, and files at URLs.
type Archive struct {
	mu         sync.RWMutex
	packages   map[string][]offered
	generation int
	published  map[string][]byte
	repos      []Repository
}

type offered struct {
	Package
	generation int
}

// Repository is a package repository at a URI. Its packages are those whose Component is one of Components, prefixed
// with Prefix.
type Repository struct {
	// URI is the repository's address without the scheme and a trailing slash: "deb.example.org/debian".
	URI string
	// Suites are the suites that it has: "trixie", "trixie-updates". Empty means every suite.
	Suites []string
	// Components are the components that it has: "main".
	Components []string
	// Prefix distinguishes its components from those of other repositories: "ceph-squid/".
	Prefix string
	// Keyring is the file name, without directory and suffix, of the keyring that apt uses when a source names none.
	Keyring string
	// Status is the HTTP status of all responses if it is not 200: an enterprise repository responds with 401 without a
	// subscription.
	Status int
}

// NewArchive returns an archive with Debian's packages and with Proxmox's repositories, which are empty until Add fills
// them.
func NewArchive() *Archive {
	a := &Archive{packages: map[string][]offered{}, published: map[string][]byte{}}
	a.repos = knownRepositories()
	var fresh []Package
	for codename := range releases {
		fresh = append(fresh, basePackages(codename)...)
	}
	a.Add(append(fresh, debianExtras()...)...) // what the package lists of a fresh installation contain
	a.Add(debianUpgrades()...)
	// Proxmox's release keys, by the checksums that its documentation publishes.
	a.Publish("https://enterprise.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg",
		StandIn("136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45", ""))
	a.Publish("https://enterprise.proxmox.com/debian/proxmox-release-trixie.gpg",
		StandIn("1bcd2d5bab556076c9ea756a84fe2b7445b13f4ef6e97b2e412b68778377ba6d",
			"8678f2327c49276615288d7ca11e7d296bc8a2b96946fe565a9c81e533f9b15a5dbbad210a0ad5cd46d361ff1d3c4bac55844bc296beefa4f88b86e44e69fa51"))
	a.Publish("https://enterprise.proxmox.com/debian/proxmox-release-bookworm.gpg",
		StandIn("13a87cec79f2d05f40f125629e4b509080a5c0286608bea273e36be9809ecaba",
			"7da6fe34168adc6e479327ba517796d4702fa2f8b4f0a9833f5ea6e6b48f6507a6da403a274fe201595edc86a84463d50383d07f64bdde2e3658108db7d6dc87"))
	return a
}

// Add adds packages. A machine sees them after its next apt-get update.
func (a *Archive) Add(packages ...Package) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	for _, p := range packages {
		if p.Component == "" {
			p.Component = "main"
		}
		a.packages[p.Name] = append(a.packages[p.Name], offered{p, a.generation})
	}
}

// Declare adds packages that machines see without an apt-get update, as if they had been in Debian when the machines
// were installed.
func (a *Archive) Declare(packages ...Package) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range packages {
		if p.Component == "" {
			p.Component = "main"
		}
		a.packages[p.Name] = append(a.packages[p.Name], offered{p, installerGeneration})
	}
}

// installerGeneration is the generation of the archive that the installer used.
const installerGeneration = 1

// lacks returns a hint if the archive has no such package in any Debian release: the name may be correct, and only the
// lab lacks the package. Otherwise it returns "".
func (a *Archive) lacks(name string) string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.packages[name]) > 0 {
		return ""
	}
	return fmt.Sprintf("N: the archive of the simulated nodes has no %s; rehearsal { package \"%s\" { … } } in the inventory declares it\n", name, name)
}

// Publish makes content available for download at a URL.
func (a *Archive) Publish(url string, content []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.published[url] = content
}

// Published returns the content at a URL.
func (a *Archive) Published(url string) ([]byte, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	content, ok := a.published[url]
	return content, ok
}

// repository returns the repository at the URI of a source.
func (a *Archive) repository(uri string) (Repository, bool) {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return Repository{}, false
	}
	rest = strings.TrimSuffix(rest, "/")
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, r := range slices.Backward(a.repos) {
		if rest == r.URI {
			return r, true
		}
	}
	return Repository{}, false
}

// Versions returns the versions of a package in a Debian release, newest first.
func (a *Archive) Versions(name, debian string) []Package {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var found []Package
	for _, p := range a.packages[name] {
		if p.Debian == "" || p.Debian == debian {
			found = append(found, p.Package)
		}
	}
	slices.SortStableFunc(found, func(a, b Package) int { return CompareVersions(b.Version, a.Version) })
	return found
}

// component is a component of the repositories of a Debian release, with the prefix of its repository.
type component struct{ debian, name string }

// visible returns the versions of a package, newest first, that are in one of the components and existed at the given
// generation.
func (a *Archive) visible(name string, components map[component]bool, generation int) []Package {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var found []Package
	for _, p := range a.packages[name] {
		if p.generation > generation {
			continue
		}
		for c := range components {
			if c.name == p.Component && (p.Debian == "" || p.Debian == c.debian) {
				found = append(found, p.Package)
				break
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Package) int { return CompareVersions(b.Version, a.Version) })
	return found
}

// providers returns the names of the packages that provide a virtual package.
func (a *Archive) providers(virtual string) []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var names []string
	for name, versions := range a.packages {
		for _, p := range versions {
			if slices.Contains(p.Provides, virtual) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (a *Archive) now() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.generation
}

func knownRepositories() []Repository {
	debian := []string{"main", "contrib", "non-free", "non-free-firmware"}
	repos := []Repository{
		{URI: "deb.example.org/debian", Components: debian, Keyring: "debian-archive-",
			Suites: []string{"bookworm", "bookworm-updates", "bookworm-backports", "trixie", "trixie-updates", "trixie-backports"}},
		{URI: "security.example.org/debian-security", Components: debian, Keyring: "debian-archive-",
			Suites: []string{"bookworm-security", "trixie-security"}},
		{URI: "download.proxmox.com/debian/pve", Components: []string{"pve-no-subscription", "pve-test", "pvetest"}, Keyring: "proxmox-",
			Suites: []string{"bookworm", "trixie"}},
		{URI: "download.proxmox.com/debian/pbs", Components: []string{"pbs-no-subscription"}, Keyring: "proxmox-",
			Suites: []string{"bookworm", "trixie"}},
		{URI: "download.proxmox.com/debian/pbs-client", Components: []string{"main"}, Prefix: "pbs-client/", Keyring: "proxmox-",
			Suites: []string{"bookworm", "trixie"}},
		{URI: "enterprise.proxmox.com/debian/pve", Components: []string{"pve-enterprise"}, Status: 401, Keyring: "proxmox-"},
		{URI: "enterprise.proxmox.com/debian/pbs", Components: []string{"pbs-enterprise"}, Status: 401, Keyring: "proxmox-"},
	}
	repos = append(repos, Repository{URI: "ftp.debian.org/debian", Components: debian, Keyring: "debian-archive-", Suites: repos[0].Suites},
		Repository{URI: "security.example.org", Components: debian, Keyring: "debian-archive-", Suites: repos[1].Suites},
		Repository{URI: "deb.example.org/debian-security", Components: debian, Keyring: "debian-archive-", Suites: repos[1].Suites})
	// The releases of Ceph for each Debian release, from Proxmox's repository listing.
	for ceph, suites := range map[string][]string{
		"quincy": {"bookworm"}, "reef": {"bookworm"}, "squid": {"bookworm", "trixie"}, "tentacle": {"trixie"},
	} {
		repos = append(repos,
			Repository{URI: "download.proxmox.com/debian/ceph-" + ceph, Components: []string{"no-subscription", "test"},
				Suites: suites, Prefix: "ceph-" + ceph + "/", Keyring: "proxmox-"},
			Repository{URI: "enterprise.proxmox.com/debian/ceph-" + ceph, Components: []string{"enterprise"},
				Suites: suites, Prefix: "ceph-" + ceph + "/", Status: 401, Keyring: "proxmox-"})
	}
	return repos
}
