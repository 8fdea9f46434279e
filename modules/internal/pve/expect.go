package pve

import (
	"context"

	"hlplay/engine/observe"
)

// database is where pmxcfs stores the contents of /etc/pve. It is kept when the packages are removed.
const database = "/var/lib/pve-cluster/config.db"

// Content is a kind that has only the empty name and whose value is stored in /etc/pve.
type Content struct {
	fresh   observe.Expectation
	unknown func(because string) observe.Expectation
}

// ContentOf returns the Content for a kind whose value on a freshly installed standalone node is fresh.
func ContentOf[T any](kind *observe.Kind[T], fresh T) Content {
	return Content{
		fresh:   kind.Expect("", fresh),
		unknown: func(because string) observe.Expectation { return kind.Unknown("", because) },
	}
}

// InstalledExpectations returns what is observed once Proxmox VE is installed on a bare host: a standalone node with
// its local storage, no guests and no HA. If pmxcfs's database has survived from an earlier installation, its content
// is unknown. Nothing is expected if Proxmox VE is installed already. more is what other packages read in /etc/pve.
func InstalledExpectations(ctx context.Context, h *observe.Host, more ...Content) ([]observe.Expectation, error) {
	wantInstalled(h)
	n, err := Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	if n.Installed {
		return nil, nil
	}
	if _, err := n.major(h.Name()); err != nil {
		return nil, err
	}
	kept, err := observe.Exists(ctx, h, database)
	if err != nil {
		return nil, err
	}
	n.Installed = true
	expect := []observe.Expectation{
		observe.Files.Expect("/etc/pve", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"}),
		observe.Dirs.Unknown("/etc/pve", "pmxcfs is about to be mounted there"),
		Nodes.Expect("", n),
	}
	contents := append([]Content{
		ContentOf(Clusters, Cluster{Mounted: true, Quorate: true, Certificate: true}),
		ContentOf(GuestLists, map[int]Guest{}),
		ContentOf(Storages, map[string]Storage{"local": implicitLocal()}),
		ContentOf(HAs, emptyHA()),
		ContentOf(Running, map[int]bool{}),
	}, more...)
	for _, c := range contents {
		if kept {
			expect = append(expect, c.unknown("Proxmox VE is about to read "+database+", which was there before"))
		} else {
			expect = append(expect, c.fresh)
		}
	}
	return expect, nil
}

// wantInstalled announces what InstalledExpectations reads.
func wantInstalled(h *observe.Host) {
	observe.Files.Want(h, database)
	Nodes.Want(h, "")
}

// Everywhere returns the expectations for every host of the play, for changes of state that the nodes of the cluster
// share.
func Everywhere(h *observe.Host, expectations ...observe.Expectation) []observe.Expectation {
	var all []observe.Expectation
	for _, peer := range h.Peers() {
		for _, e := range expectations {
			all = append(all, e.On(peer))
			for _, name := range commandFiles(e.Key.Kind) {
				all = append(all, observe.Files.Unknown(name, "a command of Proxmox VE writes it").On(peer))
			}
		}
	}
	return all
}

// commandFiles returns the files that a command writes when it changes what a kind of observation tells. How it writes them
// is its own affair: a task that reads them after it is uncertain in check mode.
func commandFiles(kind string) []string {
	switch kind {
	case Storages.Name:
		return []string{StorageFile}
	case HAs.Name:
		return []string{ResourcesFile, GroupsFile, RulesFile}
	case Mappings.Name:
		return []string{PCIFile, USBFile}
	case BackupJobs.Name:
		return []string{jobsFile}
	}
	return nil
}

// Shared returns what a node observes once it has joined: the kinds whose values are the same on all nodes of a
// cluster, with the values of a member.
func Shared(ctx context.Context, from, to *observe.Host) ([]observe.Expectation, error) {
	GuestLists.Want(from, "")
	Storages.Want(from, "")
	HAs.Want(from, "")
	guests, err := GuestLists.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	storages, err := Storages.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	ha, err := HAs.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	return []observe.Expectation{
		GuestLists.Expect("", guests).On(to), Storages.Expect("", storages).On(to), HAs.Expect("", ha).On(to),
	}, nil
}
