package pve

import (
	"bytes"
	"fmt"
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

// The files of the cluster that the kinds of this package read.
const (
	membersFile   = "/etc/pve/.members"
	guestsFile    = "/etc/pve/.vmlist"
	corosyncFile  = "/etc/pve/corosync.conf"
	cephConfFile  = "/etc/pve/ceph.conf"
	storageFile   = "/etc/pve/storage.cfg"
	resourcesFile = "/etc/pve/ha/resources.cfg"
	groupsFile    = "/etc/pve/ha/groups.cfg"
	rulesFile     = "/etc/pve/ha/rules.cfg"
	statusFile    = "/etc/pve/ha/manager_status"
)

// What else is looked for. The link is there whenever pmxcfs is; the key is missing after a join that died half-way. Where the
// program is installed, pmxcfs is to be there.
const (
	authKey       = "/etc/corosync/authkey"
	localLink     = "/etc/pve/local"
	localKey      = "/etc/pve/local/pve-ssl.key"
	cephFolder    = "/etc/pve/ceph"
	pmxcfsProgram = "/usr/bin/pmxcfs"
)

// clusterQuery reads all of them at once, however many kinds ask: kinds that travel together ask the same
// query, and the same query of a flight is sent once.
//
// /etc/pve is a FUSE mount that can hang while its daemon restarts, so that timeout(1) is around whatever
// touches it. stat names what is there and must not be read: the node's own key. grep prints the path before each line:
// whatever a file holds, it cannot be taken for another one, and no size needs to be known, which files
// such as .members change from read to read.
//
// A file that is missing while pmxcfs is away is not known to be missing. What pmxcfs alone has is looked for before the files,
// the link, and after them, .members: where both were found it was there for all of them.
var clusterQuery = remote.Query{
	Script: `for _f in ` + authKey + ` ` + pmxcfsProgram + `; do if [ -e "$_f" ]; then echo "$_f"; fi; done
timeout 10 stat -c %n -- ` + localLink + ` ` + localKey + ` ` + cephFolder + ` 2>/dev/null
timeout 10 grep -aH "" -- "$@"`,
	Args:   []string{guestsFile, corosyncFile, cephConfFile, storageFile, resourcesFile, groupsFile, rulesFile, statusFile, membersFile},
	Inline: true,
}

// askCluster is the Ask of the kinds that read files of the cluster.
func askCluster([]string) []remote.Query { return []remote.Query{clusterQuery} }

// clusterFiles is the answer to clusterQuery.
type clusterFiles struct {
	// there are those of authKey, pmxcfsProgram, localLink, localKey and cephFolder that exist.
	there map[string]bool
	files map[string]*clusterFile
}

type clusterFile struct {
	content []byte
	exists  bool
	err     error
}

// read is the content of one of the files. A missing file is no error.
func (c clusterFiles) read(path string) (content []byte, exists bool, err error) {
	f := c.files[path]
	if f == nil {
		return nil, false, fmt.Errorf("%s is not among the files that are read", path)
	}
	return f.content, f.exists, f.err
}

func parseClusterFiles(a remote.Answer) clusterFiles {
	c := clusterFiles{there: map[string]bool{}, files: map[string]*clusterFile{}}
	for _, path := range clusterQuery.Args {
		c.files[path] = &clusterFile{exists: true} // a file without lines is not mentioned at all
	}
	for line := range bytes.Lines(a.Stdout) {
		path, text, _ := bytes.Cut(line, []byte(":"))
		if f := c.files[string(path)]; f != nil {
			f.content = append(f.content, text...)
		} else {
			c.there[strings.TrimSpace(string(line))] = true
		}
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
			*f = clusterFile{err: fmt.Errorf("%s: %w", path, errNotMounted)}
		case ok:
			*f = clusterFile{err: complaint(path, message, a.Exit)}
		case a.Exit > 2, a.Exit == 2 && len(messages) == 0: // not one of grep's, or not about a file
			*f = clusterFile{err: complaint(path, string(a.Stderr), a.Exit)}
		}
	}
	if members := c.files[membersFile]; c.there[pmxcfsProgram] && (!c.there[localLink] || !members.exists) {
		for path, f := range c.files {
			if !f.exists && f.err == nil {
				f.err = fmt.Errorf("%s: %w", path, errNotMounted)
			}
		}
	}
	return c
}
