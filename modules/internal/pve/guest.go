package pve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// Guest is the type of a guest, and the node that it is on.
type Guest struct {
	Node string `json:"node"`
	// Type is "qemu" or "lxc".
	Type string `json:"type"`
}

// GuestLists observes all guests of the cluster by id, under the empty name. An expectation with an empty node leaves open
// where the guest is, because the manager of high availability chooses.
var GuestLists = &observe.Kind[map[int]Guest]{
	Complete: func(expected, found map[int]Guest) map[int]Guest {
		expected = maps.Clone(expected)
		for id, guest := range expected {
			if guest.Node == "" {
				guest.Node = found[id].Node
				expected[id] = guest
			}
		}
		return expected
	},
	Name: "pve-guests", What: "the guests of the cluster",
	Shared: observe.Always,
	Ask:    AskFiles,
	Common: true,
	Alike:  true,
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[int]Guest, error)) {
		content, _, err := ParseFiles(answers[0]).Read(guestsFile)
		var guests map[int]Guest
		if err == nil {
			guests, err = parseGuests(content)
		}
		for _, name := range names {
			tell(name, guests, err)
		}
	},
}

func parseGuests(content []byte) (map[int]Guest, error) {
	guests := map[int]Guest{}
	if len(bytes.TrimSpace(content)) == 0 {
		return guests, nil
	}
	var file struct {
		IDs map[string]Guest `json:"ids"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, &FileError{guestsFile, err}
	}
	for text, guest := range file.IDs {
		id, err := strconv.Atoi(text)
		if err != nil {
			return nil, &FileError{guestsFile, fmt.Errorf("%q is not a guest's id", text)}
		}
		guests[id] = guest
	}
	return guests, nil
}

// GuestConfig is the configuration of a guest.
type GuestConfig struct {
	Exists bool
	Guest
	// Options holds the current configuration, without snapshots. Lines that begin with # make up the description, which is
	// decoded.
	Options map[string]string
	// Pending holds the options that change at the guest's next start, with their new values, which are empty for options that
	// will be deleted. An expectation without any claims nothing about them.
	Pending map[string]string
	// File is the path of the configuration, and Digest its version (see Versioned). An expectation claims neither.
	File, Digest string
}

// GuestConfigs observes guest configurations by the guest's id in decimal.
//
// A guest counts as missing only if pmxcfs was present before and after the search, or is not installed. A guest that is
// being migrated, whose file was found at one node and then disappeared, counts as existing.
//
// An expectation claims only the options that it names; Proxmox VE sets others. A new disk ("STORAGE:SIZE in GiB")
// becomes a volume whose name the storage chooses.
var GuestConfigs = &observe.Kind[GuestConfig]{
	Complete: completeGuest,
	Name:     "pve-guest", What: "the configuration of guest %s",
	Shared: observe.Always,
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, id := range names {
			queries[i] = remote.Query{
				Script: `away() {
	[ ! -e ` + PmxcfsProgram + ` ] || timeout 10 test -L ` + LocalLink + ` || { echo '` + ErrNotMounted.Error() + `' >&2; exit 1; }
}
away
for f in /etc/pve/nodes/*/qemu-server/"$1".conf /etc/pve/nodes/*/lxc/"$1".conf; do
	if [ -f "$f" ]; then printf '%s\n' "$f"; timeout 10 cat -- "$f"; exit; fi
	case $f in /etc/pve/nodes/\*/*) ;; *) echo "$f was moved during the search; run again" >&2; exit 1 ;; esac
done
away`,
				Args: []string{id},
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, GuestConfig, error)) {
		for i, name := range names {
			if a := answers[i]; a.Exit != 0 {
				tell(name, GuestConfig{}, fmt.Errorf("cannot read the configuration of guest %s: %s: %s", name, remote.Ending(a.Exit), observe.LastLine(a.Stderr)))
				continue
			}
			tell(name, parseGuestConfig(answers[i].Stdout), nil)
		}
	},
}

func parseGuestConfig(output []byte) GuestConfig {
	file, text, _ := strings.Cut(string(output), "\n")
	if file == "" {
		return GuestConfig{}
	}
	g := GuestConfig{Exists: true, Options: map[string]string{}, File: file, Digest: digestOf([]byte(text))}
	folder := path.Dir(file)
	g.Type = "qemu"
	if path.Base(folder) == "lxc" {
		g.Type = "lxc"
	}
	g.Node = path.Base(path.Dir(folder))
	pending := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if strings.HasPrefix(line, "[") {
			if pending = slices.Contains(pendingHeads, strings.ToLower(line)); !pending {
				break // snapshots and the like follow
			}
			continue
		}
		if pending {
			g.wait(line)
			continue
		}
		if remark, ok := strings.CutPrefix(line, "#"); ok {
			g.Options["description"] += decodeText(remark) + "\n"
		} else if key, value, ok := strings.Cut(line, ":"); ok {
			g.Options[key] = strings.TrimSpace(value)
		}
	}
	if text, ok := g.Options["description"]; ok {
		g.Options["description"] = strings.TrimSuffix(text, "\n")
	}
	return g
}

// pendingHeads are the headings of the section with pending changes: of a virtual machine (PVE::QemuServer), and of a
// container (PVE::LXC::Config).
var pendingHeads = []string{"[pending]", "[pve:pending]"}

// wait adds a line of that section. "delete" lists options to delete; a leading exclamation mark forces the deletion.
func (g *GuestConfig) wait(line string) {
	key, value, ok := strings.Cut(line, ":")
	remark, isRemark := strings.CutPrefix(line, "#")
	if !ok && !isRemark {
		return
	}
	if g.Pending == nil {
		g.Pending = map[string]string{}
	}
	switch {
	case isRemark:
		g.Pending["description"] += decodeText(remark) + "\n"
	case key == "delete":
		for _, gone := range items(value) {
			g.Pending[strings.TrimPrefix(gone, "!")] = ""
		}
	default:
		g.Pending[key] = strings.TrimSpace(value)
	}
}

// Started returns the configuration after the guest's next start, which applies pending changes.
func (g GuestConfig) Started() GuestConfig {
	if len(g.Pending) == 0 {
		return g
	}
	options := maps.Clone(g.Options)
	for key, value := range g.Pending {
		if options[key] = value; value == "" {
			delete(options, key)
		}
	}
	g.Options, g.Pending, g.Digest = options, nil, ""
	return g
}

// kinds holds the names of the types of guests, their prefixes in service ids, and their programs.
var kinds = map[string]struct{ kind, service, program string }{
	"qemu": {"virtual machine", "vm:", "qm"}, "lxc": {"container", "ct:", "pct"},
}

// Label describes the guest in messages: "container 101 (dns)".
func (g GuestConfig) Label(id int) string {
	if name := g.Title(); name != "" {
		return fmt.Sprintf("%s %d (%s)", kinds[g.Type].kind, id, name)
	}
	return fmt.Sprintf("%s %d", kinds[g.Type].kind, id)
}

// SID returns the guest's service id in high availability.
func (g Guest) SID(id int) string { return kinds[g.Type].service + strconv.Itoa(id) }

// Title returns the guest's name: the name of a virtual machine, the host name of a container.
func (g GuestConfig) Title() string {
	if g.Type == "lxc" {
		return g.Options["hostname"]
	}
	return g.Options["name"]
}

// FindGuest returns the configuration of the guest with an id, if it exists, and all guests of the cluster.
func FindGuest(ctx context.Context, h modules.Host, id int) (have GuestConfig, guests map[int]Guest, err error) {
	GuestLists.Want(h, "")
	if have, err = GuestConfigs.Observe(ctx, h, strconv.Itoa(id)); err != nil {
		return have, nil, err
	}
	if guests, err = GuestLists.Observe(ctx, h, ""); err != nil {
		return have, nil, err
	}
	if guest, listed := guests[id]; listed && !have.Exists {
		err = fmt.Errorf("guest %d is listed on node %s, but its configuration is missing: the node's configuration may be damaged", id, guest.Node)
	}
	return have, guests, err
}

// GuestsOn returns the node name of a host and the configurations of the guests on it, by id in decimal; without Proxmox
// VE there are none.
func GuestsOn(ctx context.Context, h modules.Host) (node string, configs map[string]GuestConfig, err error) {
	is, err := Nodes.Observe(ctx, h, "")
	if err != nil || !is.Installed {
		return is.Name, nil, err
	}
	guests, err := GuestLists.Observe(ctx, h, "")
	if err != nil {
		return is.Name, nil, err
	}
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(guests)) {
		if guests[id].Node == is.Name {
			ids = append(ids, strconv.Itoa(id))
		}
	}
	configs, err = GuestConfigs.ObserveAll(ctx, h, ids)
	return is.Name, configs, err
}

var newDisk = pattern.New(`^([^:,]+:)([0-9.]+|cloudinit)(,.*)?$`)

func completeGuest(expected, found GuestConfig) GuestConfig {
	expected.File, expected.Digest = found.File, found.Digest
	options := maps.Clone(found.Options)
	for name, value := range expected.Options {
		is := found.Options[name]
		if m := newDisk.FindStringSubmatch(value); m != nil && strings.HasPrefix(is, m[1]) || bearsOut(is, value) {
			continue
		}
		if name == "tags" && Fold.Same(is, value) || slices.Equal(items(is), items(value)) { // Proxmox VE normalizes the separators of lists and the case of tags
			continue
		}
		if options == nil {
			options = map[string]string{}
		}
		options[name] = value
	}
	if expected.Exists {
		expected.Options = options
		expected.Pending = pendingWith(expected.Pending, found.Pending)
	}
	return expected
}

// pendingWith returns the pending options that were found, and the expected ones that these do not confirm.
func pendingWith(expected, found map[string]string) map[string]string {
	pending := maps.Clone(found)
	for name, value := range expected {
		if is, waits := found[name]; !waits || !bearsOut(is, value) {
			if pending == nil {
				pending = map[string]string{}
			}
			pending[name] = value
		}
	}
	return pending
}

// bearsOut reports whether an option has the written value, compared part by part as Proxmox VE interprets it. The option
// may have more parts, and a part may be extended: the "virtio" of a network card gets an address.
func bearsOut(is, written string) bool {
	parts := strings.Split(is, ",")
	for part := range strings.SplitSeq(written, ",") {
		key, value, _ := strings.Cut(part, "=")
		same := func(p string) bool {
			k, v, _ := strings.Cut(p, "=")
			return Scalar.Same(p, part) || k == key && (value == "" || Scalar.Same(v, value))
		}
		if !slices.ContainsFunc(parts, same) {
			return false
		}
	}
	return true
}
