//go:build linux

// Package onnode runs the simulated programs of Proxmox VE and Ceph as real programs on real machines, with real files,
// systemd units, packages and addresses. It is for tests; hlplay itself does not use it.
//
// The nodes of a cluster communicate through one directory, Dir, which all machines share: it holds the state of the
// clusters, protected by a lock, and a socket per machine for what corosync and SSH would carry. The programs behave as
// in a rehearsal, because both use engine/lab/proxmox. /etc/pve is a FUSE file system like the real one: read-only
// without quorum, with fixed modes and owners.
//
// What is not real: there is no corosync and no Ceph, only their output. A machine counts as up while its agent is
// running, even if its cable is unplugged. See Hardware for further substitutes.
package onnode

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"

	"hlplay/engine/lab/proxmox"
)

// Dir is the directory that all machines of a lab share.
const Dir = "/srv/lab"

// lab is this machine's view of a lab.
func lab() (*proxmox.World, *local, error) {
	clock, err := readClock(ClockFile)
	if err != nil {
		return nil, nil, err
	}
	self, err := newLocal()
	if err != nil {
		return nil, nil, err
	}
	world := proxmox.NewWorldIn(clock, &fileStore{dir: Dir})
	self.world = world
	world.Add(self, proxmox.Options{})
	others, err := neighbours(self.name)
	if err != nil {
		return nil, nil, err
	}
	for _, other := range others {
		world.Add(other, proxmox.Options{})
	}
	return world, self, nil
}

// Run runs one of proxmox.Programs on this machine, and returns its exit code.
func Run(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "%s: %v\n", argv[0], err)
		return 255
	}
	world, self, err := lab()
	if err != nil {
		return fail(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return fail(err)
	}
	user := "root"
	if uid := os.Geteuid(); uid != 0 {
		user = fmt.Sprint(uid) // anyone but root
	}
	return proxmox.Run(ctx, &proxmox.Command{World: world, Node: self, Argv: argv, Dir: dir, User: user, Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Exec: func(argv ...string) int {
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				return fail(err)
			}
			return cmd.ProcessState.ExitCode()
		}})
}
