package pve

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// ClusterFileSystem is pmxcfs, which all members of a cluster see alike. It makes the files whose names begin with a dot when
// they are read.
var ClusterFileSystem = observe.FileSystem{
	Root: "/etc/pve/", Shared: true,
	Unsized: func(name string) bool { return strings.HasPrefix(name, "/etc/pve/.") },
}

// CephConfFile is where Proxmox VE keeps the configuration of Ceph that all nodes share.
const CephConfFile = "/etc/pve/ceph.conf"

// Configuration files that commands of Proxmox VE change, in Proxmox VE's section format.
const (
	StorageFile   = "/etc/pve/storage.cfg"
	ResourcesFile = "/etc/pve/ha/resources.cfg"
	GroupsFile    = "/etc/pve/ha/groups.cfg"
	RulesFile     = "/etc/pve/ha/rules.cfg"
)

// The other files of the cluster that are read.
const (
	membersFile  = "/etc/pve/.members"
	guestsFile   = "/etc/pve/.vmlist"
	corosyncFile = "/etc/pve/corosync.conf"
	statusFile   = "/etc/pve/ha/manager_status"
)

// Paths that are looked for and not read.
const (
	// LocalLink exists whenever pmxcfs is mounted.
	LocalLink = "/etc/pve/local"
	// PmxcfsProgram is the program of pmxcfs: where it is installed, pmxcfs should be mounted.
	PmxcfsProgram = "/usr/bin/pmxcfs"
	// CephFolder is made by pveceph init.
	CephFolder = "/etc/pve/ceph"

	authKey = "/etc/corosync/authkey"
	// localKey is missing after a join that died half-way.
	localKey = "/etc/pve/local/pve-ssl.key"
)

// filesQuery reads all of them at once, however many kinds ask: kinds that travel together ask the same
// query, and the same query of a flight is sent once.
//
// /etc/pve is a FUSE mount that can hang while its daemon restarts, so that timeout(1) is around whatever
// touches it. stat names what is there and must not be read: the node's own key. grep prints the path before each line:
// whatever a file holds, it cannot be taken for another one, and no size needs to be known, which files
// such as .members change from read to read. A size tells whether the last line of a file whose version counts has an end, which grep
// adds.
//
// A file that is missing while pmxcfs is away is not known to be missing. What pmxcfs alone has is looked for before the files,
// the link, and after them, .members: where both were found it was there for all of them.
var filesQuery = remote.Query{
	Script: `for _f in ` + authKey + ` ` + PmxcfsProgram + `; do if [ -e "$_f" ]; then echo "$_f"; fi; done
timeout 10 stat -c '%s %n' -- ` + LocalLink + ` ` + localKey + ` ` + CephFolder + ` ` + StorageFile + ` ` + ResourcesFile + ` ` + GroupsFile + ` ` + RulesFile + ` 2>/dev/null
timeout 10 grep -aH "" -- "$@"`,
	Args:   []string{guestsFile, corosyncFile, CephConfFile, StorageFile, ResourcesFile, GroupsFile, RulesFile, statusFile, membersFile},
	Inline: true,
}

// AskFiles is the Ask of the kinds that read files of the cluster.
func AskFiles([]string) []remote.Query { return []remote.Query{filesQuery} }

// Files are the files of the cluster, as filesQuery found them.
type Files struct {
	// there are those of authKey, PmxcfsProgram, LocalLink, localKey and CephFolder that exist.
	there map[string]bool
	files map[string]*foundFile
}

type foundFile struct {
	size    int
	content []byte
	exists  bool
	err     error
}

// Has reports whether a path exists that is looked for and not read, such as CephFolder.
func (c Files) Has(path string) bool { return c.there[path] }

// Read returns the content of one of the files. A missing file is no error.
func (c Files) Read(path string) (content []byte, exists bool, err error) {
	f := c.files[path]
	if f == nil {
		return nil, false, fmt.Errorf("%s is not among the files that are read", path)
	}
	return f.content, f.exists, f.err
}

// Digest is the version of one of the files as it was read: see Versioned.
func (c Files) Digest(path string) string {
	f := c.files[path]
	content := f.content
	if f.size == len(content)-1 {
		content = bytes.TrimSuffix(content, []byte("\n"))
	}
	return digestOf(content)
}

// ParseFiles reads the answer to the query of AskFiles.
func ParseFiles(a remote.Answer) Files {
	c := Files{there: map[string]bool{}, files: map[string]*foundFile{}}
	for _, path := range filesQuery.Args {
		c.files[path] = &foundFile{exists: true} // a file without lines is not mentioned at all
	}
	for line := range bytes.Lines(a.Stdout) {
		path, text, _ := bytes.Cut(line, []byte(":"))
		if f := c.files[string(path)]; f != nil {
			f.content = append(f.content, text...)
			continue
		}
		name := strings.TrimSpace(string(line))
		if size, sized, ok := strings.Cut(name, " "); ok {
			name = sized
			if f := c.files[name]; f != nil {
				f.size, _ = strconv.Atoi(size)
				continue
			}
		}
		c.there[name] = true
	}
	messages := map[string]string{}
	for line := range strings.Lines(string(a.Stderr)) {
		for path := range c.files {
			if strings.Contains(line, path+": ") {
				messages[path] = line
			}
		}
	}
	for path, f := range c.files {
		switch message, ok := messages[path]; {
		case a.TimedOut():
			*f = foundFile{err: fmt.Errorf("%s: %w", path, ErrNotMounted)}
		case ok:
			*f = foundFile{err: complaint(path, message, a.Exit)}
		case a.Exit > 2, a.Exit == 2 && len(messages) == 0: // not one of grep's, or not about a file
			*f = foundFile{err: complaint(path, string(a.Stderr), a.Exit)}
		}
	}
	if members := c.files[membersFile]; c.there[PmxcfsProgram] && (!c.there[LocalLink] || !members.exists) {
		for path, f := range c.files {
			if !f.exists && f.err == nil {
				f.err = fmt.Errorf("%s: %w", path, ErrNotMounted)
			}
		}
	}
	return c
}
