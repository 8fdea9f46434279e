package proxmox

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pvecmAdd joins this node to the cluster of another. It exits with 0 whether it succeeds or not.
func pvecmAdd(c *Command, a arguments) int {
	if c.Dir == "/etc/pve" || strings.HasPrefix(c.Dir, "/etc/pve/") {
		return c.die(exitDie, "Navigate out of /etc/pve before running 'pvecm add', for example by running 'cd'.")
	}
	join := joinSSH
	var password string
	if !a.bool("use_ssh") {
		line, ok := c.line()
		if !ok {
			c.die(0, "EOF while reading password")
			return 0
		}
		password = line
		join = func(c *Command, a arguments, out io.Writer) error { return joinAPI(c, a, password, out) }
	}
	c.task("clusterjoin", "", func(out io.Writer) error {
		if err := c.assertJoinable(a, out); err != nil {
			return err
		}
		prepareSSH(c.World, c.Node)
		return join(c, a, out)
	})
	return 0
}

// assertJoinable performs the checks on the joining node and reports all problems together.
func (c *Command) assertJoinable(a arguments, out io.Writer) error {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, "* "+fmt.Sprintf(format, args...)) }
	name := c.Node.Name()
	if c.Node.Exists("/etc/corosync/authkey") {
		add("authentication key '/etc/corosync/authkey' already exists\n")
	}
	c.World.at(func(v *view) {
		db := v.database(name)
		if clusterOf(db) != nil {
			add("cluster config '/etc/pve/corosync.conf' already exists\n")
		}
		if db != nil && len(db.guests()) > 0 {
			add("this host already contains virtual guests\n")
		}
		if v.runs(name, "corosync.service", 0) && clusterOf(db) != nil {
			add("corosync is already running, is this node already in a cluster?!\n")
		}
	})
	if own, err := nodeAddress(c.Node); err == nil && !c.local(own) {
		add("local node address: cannot use IP '%s', not found on local node!\n\n", own)
	}
	links, _ := linkOptions(a)
	for _, number := range sortedKeys(links) {
		address, err := netip.ParseAddr(links[number])
		if err != nil {
			found, err := c.Node.Resolve(links[number])
			if err != nil || len(found) == 0 {
				add("link%d: cannot use '%s': %s\n\n", number, links[number], "hostname lookup '"+links[number]+"' failed - failed to get address info for: "+links[number]+": Name or service not known")
				continue
			}
			address = found[0]
		}
		if !c.local(address) {
			add("link%d: cannot use IP '%s', not found on local node!\n\n", number, address)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	fmt.Fprintf(out, "detected the following error(s):\n%s", strings.Join(problems, ""))
	if a.bool("force") {
		fmt.Fprint(out, "\nWARNING : detected error but forced to continue!\n\n")
		return nil
	}
	return failed(exitDie, "Check if node may join a cluster failed!")
}

func (c *Command) local(address netip.Addr) bool {
	return slices.ContainsFunc(c.Node.Addresses(), func(p netip.Prefix) bool { return p.Addr() == address })
}

func (c *Command) request(a arguments) request {
	links, _ := linkOptions(a)
	r := request{name: c.Node.Name(), links: links, id: a.int("nodeid", 0), votes: a.int("votes", 1), force: a.bool("force")}
	if own, err := nodeAddress(c.Node); err == nil {
		r.fallback = own.String()
	}
	return r
}

// joinAPI joins through the API of a member, with the password of the member's root@pam.
func joinAPI(c *Command, a arguments, password string, out io.Writer) error {
	host := a.get("hostname")
	fmt.Fprintf(out, "Establishing API connection with host '%s'\n", host)
	if err := c.sleep(500 * time.Millisecond); err != nil {
		return err
	}
	member := c.World.find(c.Node, host)
	if member == nil || !member.Up() || !member.UnitActive("pveproxy.service") {
		reason := "No route to host"
		if member != nil && member.Up() {
			reason = "Connection refused"
		} else if _, err := c.Node.Resolve(host); err != nil {
			reason = "Name or service not known"
		}
		return fmt.Errorf("500 Can't connect to %s:8006 (%s)", host, reason)
	}
	var fingerprint, secret string
	c.World.at(func(v *view) {
		fingerprint = v.database(member.Name()).fingerprint(member.Name())
		secret = c.World.options(member.Name()).Password
	})
	switch {
	case a.has("fingerprint") && !strings.EqualFold(a.get("fingerprint"), fingerprint):
		return failed(exitDie, "fingerprint '%s' not verified, abort!", fingerprint)
	case !a.has("fingerprint"):
		fmt.Fprintf(out, "The authenticity of host '%s' can't be established.\nX509 SHA256 key fingerprint is %s.\nAre you sure you want to continue connecting (yes/no)? ", host, fingerprint)
		if answer, _ := c.line(); !strings.EqualFold(answer, "yes") {
			return failed(exitDie, "Fingerprint not verified, abort!")
		}
	}
	if secret == "" || secret != password {
		_ = c.sleep(3 * time.Second) // PAM delays failures; if this is interrupted, the response is the same
		return errors.New("401 authentication failure")
	}
	fmt.Fprintln(out, "Login succeeded.")
	fmt.Fprintln(out, "check cluster join API version")
	r := c.request(a)
	if len(r.links) == 0 {
		fmt.Fprintf(out, "No cluster network links passed explicitly, fallback to local node IP '%s'\n", r.fallback)
	}
	fmt.Fprintln(out, "Request addition of this node")
	c.World.update(func(s *State) { s.node(c.Node.Name()).Joining = true })
	defer c.World.update(func(s *State) { s.node(c.Node.Name()).Joining = false })
	if _, err := c.World.addNode(c, member, r); err != nil {
		fmt.Fprintf(out, "An error occurred on the cluster node: %s\n", err)
		return failed(exitDie, "Cluster join aborted!")
	}
	fmt.Fprintln(out, "Join request OK, finishing setup locally")
	return finishJoin(c, member, out)
}

// joinSSH joins over SSH. root must be able to log in with a key and without prompts.
func joinSSH(c *Command, a arguments, out io.Writer) error {
	host := a.get("hostname")
	if err := c.sleep(500 * time.Millisecond); err != nil {
		return err
	}
	member := c.World.find(c.Node, host)
	if member == nil || !member.Up() || !trusts(c.Node, member, host) {
		return errors.New("unable to copy ssh ID: exit code 1")
	}
	c.World.update(func(s *State) { s.node(c.Node.Name()).Joining = true })
	defer c.World.update(func(s *State) { s.node(c.Node.Name()).Joining = false })
	log, err := c.World.addNode(c, member, c.request(a))
	fmt.Fprint(out, log)
	if err != nil {
		fmt.Fprintln(out, err)
		return fmt.Errorf("unable to add node: command failed (ssh %s -o BatchMode=yes pvecm addnode %s): exit code 255", host, c.Node.Name())
	}
	fmt.Fprintln(out, "copy corosync auth key")
	return finishJoin(c, member, out)
}

// finishJoin replaces this node's /etc/pve with the cluster's.
func finishJoin(c *Command, member Node, out io.Writer) error {
	w, n, name := c.World, c.Node, c.Node.Name()
	authkey, err := member.ReadFile("/etc/corosync/authkey")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "stopping pve-cluster service")
	n.StopUnit("pve-cluster.service")
	if err := c.sleep(time.Second); err != nil {
		return err
	}
	backup := "/var/lib/pve-cluster/backup/config-" + strconv.FormatInt(w.clock.Now().Unix(), 10) + ".sql.gz"
	fmt.Fprintf(out, "backup old database to '%s'\n", backup)
	var dump, conf []byte
	w.at(func(v *view) {
		old := v.database(name)
		dump = old.dump()
		cluster := v.database(member.Name())
		conf, _ = cluster.Read(corosyncFile)
		state := v.Nodes[name]
		if old.ID != cluster.ID {
			delete(v.Databases, old.ID)
		}
		state.Database, state.Removed, state.Restarted = cluster.ID, false, true
	})
	for path, data := range map[string][]byte{backup: dump, "/etc/corosync/corosync.conf": conf} {
		if err := n.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	if err := n.WriteFile("/etc/corosync/authkey", authkey, 0o400); err != nil {
		return err
	}
	n.EnableUnit("corosync.service", true)
	n.StopUnit("corosync.service")
	if err := n.StartUnit("corosync.service"); err != nil {
		return err
	}
	if err := n.StartUnit("pve-cluster.service"); err != nil {
		return err
	}
	for waiting := false; ; waiting = true {
		var quorate bool
		w.at(func(v *view) { quorate = v.quorate(name) })
		if quorate {
			if waiting {
				fmt.Fprintln(out, "OK")
			}
			break
		}
		if !waiting {
			fmt.Fprint(out, "waiting for quorum...")
		}
		if err := c.sleep(time.Second); err != nil {
			return err
		}
	}
	return joinCertificates(c, out)
}

// joinCertificates creates the files of a new member in /etc/pve/nodes.
func joinCertificates(c *Command, out io.Writer) error {
	w, n, name := c.World, c.Node, c.Node.Name()
	if err := c.sleep(2 * time.Second); err != nil {
		return err
	}
	fmt.Fprintln(out, "(re)generate node files")
	fmt.Fprintln(out, "generate new node certificate")
	var disturbed bool
	w.at(func(v *view) {
		state := v.Nodes[name]
		disturbed, state.Disturbed = state.Disturbed, false
		db := v.database(name)
		db.MakeDir("nodes/"+name, v.now)
	})
	address, err := nodeAddress(n)
	if err != nil {
		return err
	}
	if disturbed {
		key := "/etc/pve/nodes/" + name + "/pve-ssl.key"
		fmt.Fprintf(out, "Could not open file or uri for loading private key from %s: No such file or directory\n", key)
		return fmt.Errorf("unable to generate pve certificate request: command 'openssl req -batch -new -key %s -out /run/pve-cluster/pvecertreq-186.tmp -subj '/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN=%s' -addext 'basicConstraints=CA:FALSE' -addext 'extendedKeyUsage=serverAuth' -addext 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,IP:%s,DNS:%s,DNS:%s'' failed: exit code 1",
			key, fqdn(n), address, name, fqdn(n))
	}
	w.at(func(v *view) { v.nodeFiles(n, address, true) })
	fmt.Fprintln(out, "merge authorized SSH keys")
	mergeRootKey(w, n)
	fmt.Fprintln(out, "generated new node certificate, restart pveproxy and pvedaemon services")
	fmt.Fprintf(out, "successfully added node '%s' to cluster.\n", name)
	return nil
}

// dump returns the content of the backup that is made when a database is replaced.
func (db *Database) dump() []byte {
	var b strings.Builder
	for _, name := range sortedKeys(db.Files) {
		if e := db.Files[name]; !e.Dir {
			fmt.Fprintf(&b, "INSERT INTO tree VALUES(%q,%q);\n", name, e.Data)
		}
	}
	return []byte(b.String())
}
