package pve

import (
	"maps"
	"slices"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Storage is an entry of storage.cfg.
type Storage struct {
	Type string
	// Options holds the properties as they are written; content and nodes are lists in any order.
	Options map[string]string
	// Digest is the version of storage.cfg (see Versioned). An expectation does not claim it.
	Digest string
}

// sharedTypes lists the types of storage that are shared whatever storage.cfg says: @SHARED_STORAGE of PVE::Storage::Plugin, where
// zfs is ZFS over iSCSI, and esxi, which is reached over the network.
var sharedTypes = []string{"iscsi", "nfs", "cifs", "rbd", "cephfs", "iscsidirect", "glusterfs", "zfs", "drbd", "pbs", "esxi"}

// Shared reports whether the storage has the same contents on all nodes, or on those that its property nodes lists.
func (s Storage) Shared() bool {
	return slices.Contains(sharedTypes, s.Type) || truth(s.Options["shared"])
}

// Storages observes the storages of the cluster by id, under the empty name. The storage "local" exists even if
// storage.cfg does not mention it.
var Storages = &observe.Kind[map[string]Storage]{
	Complete: func(expected, found map[string]Storage) map[string]Storage {
		expected = maps.Clone(expected)
		for id, s := range expected {
			s.Digest = found[id].Digest
			expected[id] = s
		}
		return expected
	},
	Name: "pve-storages", What: "the storages of the cluster",
	Shared: observe.Always,
	Ask:    AskFiles,
	Common: true,
	Alike:  true,
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]Storage, error)) {
		files := ParseFiles(answers[0])
		content, _, err := files.Read(StorageFile)
		var storages map[string]Storage
		if err == nil {
			storages, err = parseStorages(content)
		}
		for id, s := range storages {
			s.Digest = files.Digest(StorageFile)
			storages[id] = s
		}
		for _, name := range names {
			tell(name, storages, err)
		}
	},
}

func parseStorages(content []byte) (map[string]Storage, error) {
	sections, err := ParseSections(content)
	if err != nil {
		return nil, &FileError{StorageFile, err}
	}
	storages := map[string]Storage{"local": implicitLocal()}
	for _, s := range sections {
		storages[s.ID] = Storage{Type: s.Type, Options: s.Options}
	}
	return storages, nil
}

// implicitLocal returns the storage that Proxmox VE adds if storage.cfg has no "local".
func implicitLocal() Storage {
	return Storage{Type: "dir", Options: map[string]string{
		"path":          "/var/lib/vz",
		"content":       "backup,images,iso,rootdir,snippets,vztmpl",
		"prune-backups": "keep-all=1",
	}}
}

// FileError is returned for a file on a host that cannot be parsed.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }
