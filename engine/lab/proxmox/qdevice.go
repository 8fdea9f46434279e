package proxmox

import (
	"fmt"
	"net/netip"
	"time"
)

// A QDevice: corosync-qdevice on the nodes, corosync-qnetd on a host outside the cluster. There are no recordings of
// it: pvecm's part follows the source of pve-cluster 9.1 (PVE::CLI::pvecm), and the output of corosync-quorumtool the
// example in Proxmox's documentation. All nodes that are up form one partition, to which corosync-qnetd gives its vote.

// The units on both sides, and where corosync-qdevice keeps its certificates.
const (
	qdeviceUnit  = "corosync-qdevice.service"
	qnetdUnit    = "corosync-qnetd.service"
	qdeviceState = "/etc/corosync/qdevice"
	qdeviceStore = qdeviceState + "/net/nssdb"
	qnetdStore   = "/etc/corosync/qnetd/nssdb"
)

// qdeviceDelay is how long corosync-qdevice takes from its start until corosync-qnetd has responded.
const qdeviceDelay = 2 * time.Second

// deviceRegistered reports whether a node's corosync-qdevice has registered with its corosync.
func (v *view) deviceRegistered(conf *Corosync, node string) bool {
	return conf.Device != nil && v.runs(node, qdeviceUnit, 0)
}

// deviceAlive reports whether a node's corosync-qdevice has the vote of corosync-qnetd.
func (v *view) deviceAlive(db *Database, conf *Corosync, node string) bool {
	return v.deviceRegistered(conf, node) && v.runs(node, qdeviceUnit, qdeviceDelay) && !v.severed(db, node) && v.runs(db.Witness, qnetdUnit, 0)
}

// deviceFlags returns a node's QDevice flags in corosync-quorumtool.
func (v *view) deviceFlags(db *Database, conf *Corosync, node string) string {
	switch {
	case !v.deviceRegistered(conf, node):
		return "NR"
	case !v.deviceAlive(db, conf, node):
		return "NA,NV,NMW"
	}
	return "A,V,NMW"
}

func address(value string) string {
	if _, err := netip.ParseAddr(value); err != nil {
		return "invalid format - value does not look like a valid IP address\n"
	}
	return ""
}

// allOnline returns the configuration of the cluster, or prints why the QDevice cannot be changed.
func (c *Command) allOnline() (*Corosync, int) {
	var conf *Corosync
	code := 0
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		if conf = clusterOf(db); conf == nil {
			code = c.notInCluster()
			return
		}
		for _, n := range conf.Nodes {
			if !db.online(conf, n.Name) {
				code = c.die(exitDie, "All nodes must be online! Node %s is offline, aborting.", n.Name)
				return
			}
		}
	})
	return conf, code
}

func qdeviceSetup(c *Command, a arguments) int {
	conf, code := c.allOnline()
	if code != 0 {
		return code
	}
	device := &CorosyncDevice{Host: a.get("address"), Algorithm: "ffsplit", Votes: 1}
	switch odd := len(conf.Nodes)%2 == 1; {
	case conf.Device != nil && !a.bool("force"):
		return c.die(exitDie, "QDevice already configured!")
	case odd && !a.bool("force"):
		return c.die(exitDie, "Clusters with an odd node count are not officially supported!")
	case odd:
		device.Algorithm, device.Votes = "lms", 0
	}
	c.changed = true
	if err := c.sleep(time.Second); err != nil {
		return exitDie
	}
	witness := c.World.find(c.Node, device.Host)
	fmt.Fprintf(c.Stderr, "/usr/bin/ssh-copy-id: INFO: Source of key(s) to be installed: \"/root/.ssh/id_rsa.pub\"\n")
	if witness == nil || !witness.Up() || !trusts(c.Node, witness, device.Host) {
		return c.die(exitDie, "command 'ssh-copy-id -i /root/.ssh/id_rsa root@%s' failed: exit code 1", device.Host)
	}
	fmt.Fprint(c.Stderr, "/usr/bin/ssh-copy-id: INFO: attempting to log in with the new key(s), to filter out any that are already installed\n\n"+
		"/usr/bin/ssh-copy-id: WARNING: All keys were skipped because they already exist on the remote system.\n\t\t(if you think this is a mistake, you may want to use -f option)\n\n")
	if c.Node.Exists(qdeviceStore) {
		if !a.bool("force") {
			return c.die(exitDie, "QDevice certificate store already initialised, set force to delete!")
		}
		_ = c.Node.Remove(qdeviceStore) // a remaining file is overwritten later
	}
	if code := c.certificates(conf, witness, device.Host); code != 0 {
		return code
	}
	if conf.Device != nil {
		return c.die(exitDie, "Qdevice already configured, must be removed before setting up new one!")
	}
	c.printf("\nINFO: add QDevice to cluster configuration\n")
	if code := c.setDevice(device, witness.Name()); code != 0 {
		return code
	}
	for _, n := range conf.Nodes {
		c.printf("\nINFO: start and enable corosync qdevice daemon on node '%s'...\n", n.Name)
		node := c.World.node(n.Name)
		if err := node.StartUnit(qdeviceUnit); err != nil {
			return c.die(exitDie, "command 'systemctl start corosync-qdevice' failed: exit code 1")
		}
		node.EnableUnit(qdeviceUnit, true)
		fmt.Fprintf(c.Stderr, "Synchronizing state of corosync-qdevice.service with SysV service script with /usr/lib/systemd/systemd-sysv-install.\nExecuting: /usr/lib/systemd/systemd-sysv-install enable corosync-qdevice\n")
	}
	c.printf("Reloading corosync.conf...\nDone\n")
	return 0
}

// certificates exchanges certificates between the nodes and corosync-qnetd's host.
func (c *Command) certificates(conf *Corosync, witness Node, host string) int {
	c.printf("\nINFO: initializing qnetd server\n")
	if witness.Version("corosync-qnetd") == "" {
		fmt.Fprintln(c.Stderr, "bash: line 1: corosync-qnetd-certutil: command not found")
	} else {
		fmt.Fprintf(c.Stderr, "Certificate database (%s) already exists. Delete it to initialize new db\n", qnetdStore)
	}
	c.printf("\nINFO: copying CA cert and initializing on all nodes\n")
	if !witness.Exists(qnetdStore + "/qnetd-cacert.crt") {
		return c.die(exitDie, "command 'scp -o 'BatchMode=yes' 'root@[%s]:%s/qnetd-cacert.crt' /etc/pve/qnetd-cacert.crt' failed: exit code 1", host, qnetdStore)
	}
	for _, n := range conf.Nodes {
		node := c.World.node(n.Name)
		if node.Version("corosync-qdevice") == "" {
			fmt.Fprintln(c.Stderr, "bash: line 1: corosync-qdevice-net-certutil: command not found")
			continue
		}
		for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt", "pwdfile.txt"} {
			if err := node.WriteFile(qdeviceStore+"/"+name, nil, 0o600); err != nil {
				return c.die(exitDie, "%s", err)
			}
		}
		c.printf("\nnode '%s': Creating %s\n\nnode '%s': Creating new key and cert db\n\nnode '%s': Creating new noise file %s/noise.txt\n\nnode '%s': Importing CA\n",
			n.Name, qdeviceStore, n.Name, n.Name, qdeviceStore, n.Name)
	}
	c.printf("\nINFO: generating cert request\n")
	if c.Node.Version("corosync-qdevice") == "" {
		return c.die(exitDie, "command 'corosync-qdevice-net-certutil -r -n %s' failed: failed to execute", conf.Name)
	}
	c.printf("Creating new certificate request\nCertificate request stored in %s/qdevice-net-node.crq\n", qdeviceStore)
	c.printf("\nINFO: copying exported cert request to qnetd server\n\nINFO: sign and export cluster cert\nSigning cluster certificate\n"+
		"Certificate stored in %s/cluster-%s.crt\n\nINFO: copy exported CRT\n\nINFO: import certificate\nImporting signed cluster certificate\n"+
		"\nINFO: copy and import pk12 cert to all nodes\n", qnetdStore, conf.Name)
	if err := c.sleep(3 * time.Second); err != nil {
		return exitDie
	}
	for _, n := range conf.Nodes {
		if c.World.node(n.Name).Version("corosync-qdevice") == "" {
			return c.die(exitDie, "command '/usr/bin/ssh -e none -o 'HostKeyAlias=%s' root@%s -- corosync-qdevice-net-certutil -m -c /etc/pve/qdevice-net-node.p12' failed: exit code 127", n.Name, n.Links[0])
		}
		c.printf("\nnode '%s': Importing cluster certificate and key\n", n.Name)
	}
	return 0
}

// setDevice writes the QDevice into corosync.conf, or removes it if device is nil.
func (c *Command) setDevice(device *CorosyncDevice, witness string) int {
	code := 0
	c.World.at(func(v *view) {
		if !v.quorate(c.Node.Name()) {
			code = c.die(exitDie, "cluster not ready - no quorum?")
			return
		}
		db := v.database(c.Node.Name())
		conf := clusterOf(db).clone()
		conf.Device, db.Witness = device, witness
		conf.Version++
		db.Write(corosyncFile, []byte(conf.String()), v.now)
		v.reload(db)
	})
	if code != 0 {
		return code
	}
	if err := c.sleep(time.Second); err != nil {
		return exitDie
	}
	c.World.distribute(c.Node.Name())
	return 0
}

func qdeviceRemove(c *Command, _ arguments) int {
	conf, code := c.allOnline()
	switch {
	case code != 0:
		return code
	case conf.Device == nil:
		return c.die(exitDie, "No QDevice configured!")
	}
	c.changed = true
	if code := c.setDevice(nil, ""); code != 0 {
		return code
	}
	for _, n := range conf.Nodes {
		node := c.World.node(n.Name)
		if err := node.Remove(qdeviceState); err != nil {
			return c.die(exitDie, "%s", err)
		}
		node.StopUnit(qdeviceUnit)
		node.EnableUnit(qdeviceUnit, false)
	}
	c.printf("Reloading corosync.conf...\nDone\n\nRemoved Qdevice.\n")
	return 0
}
