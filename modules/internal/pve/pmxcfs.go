package pve

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// ClusterFileSystem is pmxcfs, which looks the same to all members of a cluster. It generates the files whose names
// begin with a dot when they are read.
var ClusterFileSystem = observe.FileSystem{
	Root: "/etc/pve/", Shared: true, Copied: []string{"/etc/corosync/corosync.conf"},
	Unsized: func(name string) bool { return strings.HasPrefix(name, "/etc/pve/.") },
}

// CephConfFile is where Proxmox VE stores the Ceph configuration that all nodes share.
const CephConfFile = "/etc/pve/ceph.conf"

// Configuration files in Proxmox VE's section format that are changed by its commands.
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

// Paths whose existence is checked without reading them.
const (
	// LocalLink exists whenever pmxcfs is mounted.
	LocalLink = "/etc/pve/local"
	// PmxcfsProgram is the program of pmxcfs: if it is installed, pmxcfs should be mounted.
	PmxcfsProgram = "/usr/bin/pmxcfs"
	// CephFolder is created by pveceph init.
	CephFolder = "/etc/pve/ceph"

	authKey = "/etc/corosync/authkey"
	// localKey is missing after a join that died halfway.
	localKey = "/etc/pve/local/pve-ssl.key"
)

// filesQuery reads all of them at once, however many kinds ask: kinds that are fetched together ask the same query,
// and a query is sent only once per flight.
//
// /etc/pve is a FUSE mount that can hang while its daemon restarts, so timeout(1) wraps whatever touches it. stat
// names what exists but must not be read: the node's own key. grep prints the path before each line: no content of a
// file can be mistaken for another file, and no sizes need to be known, which for files such as .members change from
// one read to the next. For files whose version counts, the size tells whether the last line ends in a newline, which
// grep adds.
//
// A file that is missing while pmxcfs is away is not known to be missing. What only pmxcfs has is looked for before
// the files (the link) and after them (.members): if both were found, it was present for all of them.
var filesQuery = remote.Query{
	Script: `for _f in ` + authKey + ` ` + PmxcfsProgram + `; do if [ -e "$_f" ]; then echo "$_f"; fi; done
timeout 10 stat -c '%s %n' -- ` + LocalLink + ` ` + localKey + ` ` + CephFolder + ` ` + StorageFile + ` ` + ResourcesFile + ` ` + GroupsFile + ` ` + RulesFile + ` 2>/dev/null
timeout 10 grep -aH "" -- "$@"`,
	Args:   []string{guestsFile, corosyncFile, CephConfFile, StorageFile, ResourcesFile, GroupsFile, RulesFile, statusFile, membersFile},
	Inline: true,
}

// AskFiles is the Ask of the kinds that read files of the cluster.
func AskFiles([]string) []remote.Query { return []remote.Query{filesQuery} }

// Files holds the files of the cluster, as filesQuery found them.
type Files struct {
	// there holds those of authKey, PmxcfsProgram, LocalLink, localKey and CephFolder that exist.
	there map[string]bool
	files map[string]*foundFile
}

type foundFile struct {
	size    int
	content []byte
	exists  bool
	err     error
}

// Has reports whether a path such as CephFolder, which is not read, exists.
func (c Files) Has(path string) bool { return c.there[path] }

// Read returns the content of one of the files. A missing file is not an error.
func (c Files) Read(path string) (content []byte, exists bool, err error) {
	f := c.files[path]
	if f == nil {
		return nil, false, fmt.Errorf("%s is not among the files that are read", path)
	}
	return f.content, f.exists, f.err
}

// Digest returns the version of one of the files as it was read: see Versioned.
func (c Files) Digest(path string) string {
	f := c.files[path]
	content := f.content
	if f.size == len(content)-1 {
		content = bytes.TrimSuffix(content, []byte("\n"))
	}
	return digestOf(content)
}

// ParseFiles parses the answer to the query of AskFiles.
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
		case a.Exit > 2, a.Exit == 2 && len(messages) == 0: // not a message of grep's, or not about a file
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
