package pvesm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

// secretDir is where Proxmox VE keeps the passwords of storages (PVE::Storage::PBSPlugin).
const secretDir = "/etc/pve/priv/storage"

// fromServer returns the storage with the password and the fingerprint that are read from its backup server. If check mode
// cannot know the password, because the token has not been generated yet, unread is the reason.
func (m *Module) fromServer(ctx context.Context, h modules.Host) (own *Module, unread error, err error) {
	if m.BackupServer == "" {
		return m, nil, nil
	}
	server, err := h.Peer(m.BackupServer)
	if err != nil {
		return nil, nil, fmt.Errorf("backup_server: %w", err)
	}
	token := m.Options["username"]
	pbs.Servers.Want(server, "")
	observe.Files.Want(server, pbs.SecretFile(token))
	config, err := pbs.Servers.Observe(ctx, server, "")
	switch {
	case err != nil:
		return nil, nil, err
	case config.Fingerprint == "":
		return nil, nil, fmt.Errorf("backup_server: %s has no certificate of Proxmox Backup Server: install package proxmox-backup-server there first", server.Name())
	}
	copied := *m
	copied.Options = maps.Clone(m.Options)
	if _, given := copied.Options["fingerprint"]; !given {
		copied.Options["fingerprint"] = config.Fingerprint
	}
	copied.Password, err = pbs.Secret(ctx, server, token)
	switch {
	case errors.Is(err, pbs.ErrNoSecret):
		return nil, nil, fmt.Errorf("backup_server: %w; the module pbs generates the token, and keeps its secret there", err)
	case observe.IsUnknown(err):
		copied.Password = "not known yet" // only check mode sees it
		return &copied, err, nil
	}
	return &copied, nil, err
}

// secret plans the password file. pmxcfs sets mode and owner of all files below /etc/pve/priv.
func (m *Module) secret(ctx context.Context, h modules.Host, unread error) ([]modules.Step, error) {
	if m.Password == "" {
		return nil, nil
	}
	name, content := secretDir+"/"+m.ID+".pw", m.Password+"\n"
	files, err := observe.Files.ObserveAll(ctx, h, []string{name, secretDir})
	if unread != nil && observe.IsUnknown(err) { // a predicted step has set it
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dir, before := files[secretDir], files[name]
	switch {
	case before.Exists() && before.Type != observe.Regular, dir.Exists() && dir.Type != observe.Directory:
		return nil, fmt.Errorf("%s on %s is not a regular file in a directory: check it by hand", name, h.Name())
	case string(before.Content) == content:
		return nil, nil
	}
	var steps []modules.Step
	if !dir.Exists() {
		steps = append(steps, modules.Step{
			Summary: "create directory " + secretDir,
			Action:  modules.MakeDir{Path: secretDir},
			Expect:  observe.Placed(h, secretDir, observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "www-data"}),
		})
	}
	expect := observe.Placed(h, name, observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "www-data", Size: int64(len(content)), Content: []byte(content)})
	if unread != nil {
		expect = []observe.Expectation{observe.Paths.Expect(name, true), observe.Files.Unknown(name, "the token has not been generated yet")}
	}
	return append(steps, modules.Step{
		Summary: "set the password of storage " + m.ID,
		Action:  modules.WriteFile{Path: name, Content: []byte(content)},
		Expect:  expect,
	}), nil
}

// notes warns about backups that would be lost together with the guests.
func (m *Module) notes(ctx context.Context, h modules.Host) ([]string, error) {
	server := m.Options["server"]
	if m.Type != "pbs" || server == "" {
		return nil, nil
	}
	pve.Clusters.Want(h, "")
	if id, err := m.serverGuest(ctx, h); err != nil {
		return nil, err
	} else if id > 0 {
		return []string{fmt.Sprintf("storage %s: the server %s is guest %d of the cluster that it backs up: if the cluster or its storage is lost, so are the backups; keep them on a separate host", m.ID, m.BackupServer, id)}, nil
	}
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	for _, name := range cluster.Names() {
		member := cluster.Members[name]
		if server == name || m.BackupServer == name || slices.Contains(slices.Collect(maps.Values(member.Links)), server) {
			return []string{fmt.Sprintf("storage %s: the server %s is node %s: if it is lost, so are the backups of its guests, and backups on Ceph do not protect against the loss of Ceph; keep them on a separate host", m.ID, server, name)}, nil
		}
	}
	return nil, nil
}

// serverGuest returns the ID of the virtual machine of this cluster that is the backup server, identified by its UUID; 0
// if there is none.
func (m *Module) serverGuest(ctx context.Context, h modules.Host) (int, error) {
	if m.BackupServer == "" {
		return 0, nil
	}
	server, err := h.Peer(m.BackupServer)
	if err != nil {
		return 0, fmt.Errorf("backup_server: %w", err)
	}
	pve.MachineIDs.Want(h, "")
	told, err := observe.Files.Observe(ctx, server, pve.MachineIDFile)
	uuid := strings.ToLower(strings.TrimSpace(string(told.Content)))
	if err != nil || uuid == "" { // the firmware reports no UUID
		return 0, err
	}
	ids, err := pve.MachineIDs.Observe(ctx, h, "")
	return ids[uuid], err
}
