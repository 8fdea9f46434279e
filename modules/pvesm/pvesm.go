// Package pvesm defines the storages of a Proxmox VE cluster.
package pvesm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

// Module is a storage of the cluster.
type Module struct {
	ID           string            `hcl:"id" doc:"Storage id."`
	Type         string            `hcl:"type" doc:"Storage type: rbd, cephfs, dir or another that pvesm knows. It cannot be changed later."`
	Pool         string            `hcl:"pool,optional" doc:"The Ceph pool of an rbd storage."`
	Content      []string          `hcl:"content,optional" enum:"images,rootdir,vztmpl,iso,backup,snippets,import,none" doc:"Content types that may be stored."`
	Nodes        []string          `hcl:"nodes,optional" doc:"Nodes that have the storage. An empty list means all nodes, the default for a new storage."`
	Password     string            `hcl:"password,optional" doc:"The password of a pbs storage, or the secret of its token. It is written to the file where Proxmox VE keeps it, and does not appear in the process list."`
	BackupServer string            `hcl:"backup_server,optional" doc:"Inventory name of the server of a pbs storage. The secret of the token in username is read from that host, where the module pbs keeps it. So is the fingerprint of the certificate, unless options set it; use fingerprint = \"\" for a certificate that the nodes trust anyway."`
	Options      map[string]string `hcl:"options,optional" doc:"Other options of pvesm(1), without leading dashes: path, krbd, fs-name, …. An empty value removes the option. Secrets are rejected, because they would be visible in the process list."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name: "pvesm",

	Rewritten: []string{"/etc/pve/storage.cfg"},
	Summary:   "A storage of the cluster, such as an RBD pool, a CephFS or a directory",
	Doc: `The storage is defined once for the whole cluster. An existing storage is compared option by option, as Proxmox VE interprets
them (lists in any order, true equals 1), and only options that differ are set; options that the task does not set are kept. If the type differs,
or an option that cannot be changed, such as the path or server of most types, the task fails, because guests refer to the storage by its id.

Adding a storage activates it on the node; if that fails, it is not added. Storages are never removed.

If the Proxmox Backup Server is in the inventory, ` + "`backup_server`" + ` reads the secret and the fingerprint from it, so that nobody has to
copy them.

A storage with a password is added disabled, and enabled once its password is set; pvesm status then shows whether the server accepts the
password. A note warns if the server is a node or a virtual machine of the cluster itself, because the backups would be lost with it.`,
	Example: `task "a storage on a pool" {
  pvesm {
    id      = "vm-disks"
    type    = "rbd"
    pool    = "vm-disks"
    content = ["images", "rootdir"]
  }
}
`,
	New: func() modules.Module { return &Module{} },
}

// fixed lists, by type, the options that pvesm set refuses to change (PVE::Storage::*Plugin).
var fixed = map[string][]string{
	"cephfs": {"path"},
	"dir":    {"path", "snapshot-as-volume-chain"},
	"btrfs":  {"path"},
	"pbs":    {"server", "datastore"},
	"nfs":    {"server", "export", "path"},
	"cifs":   {"server", "share", "path"},
	"lvm":    {"vgname"},
}

// secrets lists options that would be visible in the process list.
var secrets = []string{"password", "keyring", "encryption-key", "master-pubkey"}

// Scope implements modules.Scoped: storage.cfg is shared by the cluster.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if err := pve.CheckStorageID("id", m.ID); err != nil {
		return err
	}
	if m.Type == "" || strings.ContainsAny(m.Type, " -/") {
		return &modules.ArgumentError{Argument: "type", Problem: fmt.Sprintf("%q is not a storage type", m.Type), Want: "rbd, cephfs, dir, …"}
	}
	if m.Type == "cephfs" && (slices.Contains(m.Content, "images") || slices.Contains(m.Content, "rootdir")) {
		return &modules.ArgumentError{Argument: "content", Problem: "a cephfs storage cannot hold guest disks", Want: "iso, vztmpl, backup, snippets; disks go to an rbd storage"}
	}
	if m.Type == "rbd" && m.Pool == "" {
		return &modules.ArgumentError{Argument: "pool", Problem: "missing", Want: "the name of the Ceph pool"}
	}
	if m.Pool != "" && m.Type != "rbd" {
		return &modules.ArgumentError{Argument: "pool", Problem: "type " + m.Type + " has no pool", Want: "only with type = \"rbd\""}
	}
	if m.Password != "" && (m.Type != "pbs" || strings.ContainsAny(m.Password, "\n\r\x00")) {
		return &modules.ArgumentError{Argument: "password", Problem: "cannot be that of type " + m.Type + ", or has a line break", Want: "one line, and only with type = \"pbs\""}
	}
	if m.BackupServer != "" {
		switch {
		case m.Type != "pbs" || m.Password != "":
			return &modules.ArgumentError{Argument: "backup_server", Problem: "cannot be that of type " + m.Type + ", or a password is given as well", Want: "only with type = \"pbs\", and without password"}
		case !pbs.TokenID.MatchString(m.Options["username"]):
			return &modules.ArgumentError{Argument: "options.username", Problem: fmt.Sprintf("%q does not name a token, and user passwords are not stored", m.Options["username"]), Want: "USER!TOKEN, as in pve@pbs!cluster"}
		}
	}
	for _, node := range m.Nodes {
		if err := pve.CheckNodeName("nodes", node); err != nil {
			return err
		}
	}
	for key := range m.Options {
		if slices.Contains(secrets, key) {
			return &modules.ArgumentError{Argument: "options." + key, Problem: "a secret would be visible in the process list", Want: "set it on the host with pvesm set"}
		}
		if slices.Contains([]string{"content", "pool", "nodes", "type"}, key) || key == "" || strings.ContainsAny(key, " =") || strings.HasPrefix(key, "-") {
			return &modules.ArgumentError{Argument: "options." + key, Problem: "this option is not allowed here", Want: "content, pool, nodes and type have their own arguments; write option names without leading dashes"}
		}
	}
	return nil
}

// wanted returns the options as storage.cfg names and writes them. An empty value means that the option must not be set.
func (m *Module) wanted() map[string]string {
	want := map[string]string{}
	for key, value := range m.Options {
		want[key] = written(key, value)
	}
	if m.Pool != "" {
		want["pool"] = m.Pool
	}
	if len(m.Content) > 0 {
		want["content"] = join(m.Content)
	}
	if m.Nodes != nil {
		want["nodes"] = join(m.Nodes)
	}
	if _, said := want["disable"]; m.Password != "" && !said {
		want["disable"] = "" // set if an earlier run ended before it enabled the storage
	}
	return want
}

func join(items []string) string {
	sorted := slices.Clone(items)
	slices.Sort(sorted)
	return strings.Join(slices.Compact(sorted), ",")
}

// Plan compares the storage with storage.cfg.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	own, unread, err := m.fromServer(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	plan, err := own.plan(ctx, h, unread)
	if own != m && unread == nil {
		plan.Secrets = []string{own.Password}
	}
	return plan, err
}

func (m *Module) plan(ctx context.Context, h modules.Host, unread error) (modules.Plan, error) {
	storages, err := pve.Storages.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	have, exists := storages[m.ID]
	if exists && have.Type != m.Type {
		return modules.Plan{}, fmt.Errorf("storage %s exists with type %s, not %s: guests refer to it by its id; choose another id", m.ID, have.Type, m.Type)
	}
	want := m.wanted()
	if !exists {
		if err := m.check(ctx, h); err != nil {
			return modules.Plan{}, err
		}
		maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
	}
	var plan modules.Plan
	if plan.Notes, err = m.notes(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	secret, err := m.secret(ctx, h, unread)
	if err != nil {
		return modules.Plan{}, err
	}
	all := maps.Clone(storages)
	add := func(step modules.Step, after pve.Storage) {
		maps.DeleteFunc(after.Options, func(key, value string) bool { return value == "" || same(key, value, "") })
		all = maps.Clone(all)
		all[m.ID] = after
		have = after
		step.Expect = pve.Everywhere(h, pve.Storages.Expect("", all))
		step.Settle, step.Await, step.Wide = 10*time.Second, "storage "+m.ID+" in /etc/pve/storage.cfg", true
		step.Elsewhere = elsewhere
		plan.Steps = append(plan.Steps, step)
	}
	if !exists {
		options := maps.Clone(want)
		if m.Password != "" { // it cannot be activated without its password
			options["disable"] = "1"
			want["disable"] = m.Options["disable"]
		}
		after := pve.Storage{Type: m.Type, Options: maps.Clone(options)}
		if m.Type == "cephfs" && want["path"] == "" {
			after.Options["path"] = "/mnt/pve/" + m.ID
		}
		add(modules.Step{
			Summary: fmt.Sprintf("add storage %s (%s%s)", m.ID, m.Type, suffix(want["content"])),
			Action:  m.run("add", m.Type, m.ID, pve.Arguments(options, keys(options))),
		}, after)
	}
	plan.Steps = append(plan.Steps, secret...)
	differing, err := m.differing(have, want)
	if err != nil {
		return modules.Plan{}, err
	}
	if len(differing) > 0 {
		after := pve.Storage{Type: m.Type, Options: maps.Clone(have.Options)}
		step := m.set(have, want, differing)
		maps.Copy(after.Options, want)
		add(step, after)
	}
	if len(plan.Steps) > 0 {
		if err := pve.Writable(ctx, h); err != nil {
			return modules.Plan{}, fmt.Errorf("storage %s: %w", m.ID, err)
		}
	}
	return plan, nil
}

func suffix(content string) string {
	if content == "" {
		return ""
	}
	return ": " + content
}

// differing returns the options that differ, sorted. It is an error if one of them is fixed.
func (m *Module) differing(have pve.Storage, want map[string]string) ([]string, error) {
	var differing []string
	for _, key := range keys(want) {
		if same(key, have.Options[key], want[key]) {
			continue
		}
		if slices.Contains(fixed[m.Type], key) {
			return nil, fmt.Errorf("storage %s has %s %q, the task specifies %q: this cannot be changed for an existing storage; choose another id",
				m.ID, key, have.Options[key], want[key])
		}
		differing = append(differing, key)
	}
	return differing, nil
}

// check rejects a storage whose pool or file system does not exist, because pvesm would add it all the same.
func (m *Module) check(ctx context.Context, h modules.Host) error {
	if m.Options["monhost"] != "" || (m.Type != "rbd" && m.Type != "cephfs") {
		return nil
	}
	conf, err := ceph.Confs.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	if len(conf.MonHosts()) == 0 {
		return fmt.Errorf("storage %s: %w", m.ID, ceph.ErrNoCeph)
	}
	if m.Type == "rbd" {
		pools, err := ceph.Pools.Observe(ctx, h, "")
		if err != nil {
			return err
		}
		if _, ok := pools[m.Pool]; !ok {
			return fmt.Errorf("pool: there is no Ceph pool %s; the cluster has: %s", m.Pool, list(keys(pools)))
		}
		return nil
	}
	systems, err := ceph.FileSystems.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	name := m.Options["fs-name"]
	fs, ok := systems[name]
	switch {
	case name == "" && len(systems) == 0, name != "" && !ok:
		return fmt.Errorf("storage %s: there is no CephFS %s; the cluster has: %s", m.ID, name, list(keys(systems)))
	case name != "" && !fs.Active:
		return fmt.Errorf("storage %s: CephFS %s has no active metadata server and could not be mounted", m.ID, name)
	}
	return nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (m *Module) set(have pve.Storage, want map[string]string, differing []string) modules.Step {
	diff := modules.Diff{Subject: "storage " + m.ID}
	for _, key := range differing {
		diff.Before += key + " " + have.Options[key] + "\n"
		diff.After += key + " " + want[key] + "\n"
	}
	return modules.Step{
		Summary: fmt.Sprintf("change storage %s: %s", m.ID, strings.Join(differing, ", ")),
		Action:  pve.Versioned(m.run("set", m.ID, "", pve.Arguments(want, differing)), pve.StorageFile, have.Digest),
		Diff:    &diff,
	}
}

func keys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// run returns a command that runs pvesm. Adding a storage activates it, which can hang on a dead server.
func (m *Module) run(command, first, second string, options []string) modules.Run {
	argv := []string{"pvesm", command, first}
	if second != "" {
		argv = append(argv, second)
	}
	return modules.Run{
		Argv: append(argv, options...), Dir: "/root", Limit: 3 * time.Minute,
		Retry: []string{"got lock request timeout"}, Patience: time.Minute,
		Explain: func(_ int, _, stderr []byte) error {
			text := pve.Complaint(stderr)
			if text == "" {
				return nil
			}
			if strings.Contains(text, "keyring file for storage") && strings.Contains(text, "already exists") {
				text += "; it is left from a removed storage: delete /etc/pve/priv/ceph/" + m.ID + ".keyring and .secret, and run again"
			}
			return pve.Refused(text)
		},
	}
}

// elsewhere is the Step.Elsewhere of steps that change storages. Every node activates them, which may bring mounts, volume groups
// and disks. It does not change what the node has installed, its addresses, its Ceph daemons, or who is in the cluster.
func elsewhere(_ modules.Host, k observe.Key) bool {
	return !slices.Contains([]string{pve.Nodes.Name, pve.Clusters.Name, ceph.Nodes.Name, ceph.Units.Name, observe.Networks.Name}, k.Kind)
}
