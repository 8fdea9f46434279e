//go:build linux

// Proxmox-lab is the simulated Proxmox VE and Ceph as one program for real machines. The name by which it is called
// says what it does. The end-to-end tests build packages from it; it is not part of hlplay.
//
//	pvecm, pveceph, ceph, …       the commands
//	pmxcfs, ceph-mon --id NAME …  the daemons
//	lsblk, uname, modprobe        stand-ins for what a container lacks
//	proxmox-lab agent|service UNIT|hardware
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"hlplay/engine/lab/proxmox"
	"hlplay/engine/lab/proxmox/onnode"
)

func main() { os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:])) }

func run(name string, args []string) int {
	ctx := context.Background()
	if proxmox.Programs()[name] != nil {
		return onnode.Run(ctx, append([]string{name}, args...), os.Stdin, os.Stdout, os.Stderr)
	}
	switch name {
	case "lsblk":
		return onnode.Lsblk(ctx, append([]string{name}, args...), os.Stdout, os.Stderr)
	case "uname":
		return onnode.Uname(args, os.Stdout, os.Stderr)
	case "modprobe":
		return onnode.Modprobe(args, os.Stderr)
	}
	if err := serve(name, args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 255
	}
	return 0
}

// serve runs one of the services that systemd starts.
func serve(name string, args []string) error {
	switch name {
	case "pmxcfs":
		return onnode.Service("pve-cluster.service", onnode.Notify)
	case "ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds":
		flags := flag.NewFlagSet(name, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		id := flags.String("id", "", "")
		flags.String("cluster", "", "")
		flags.Bool("f", false, "")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return onnode.Service(name+"@"+*id+".service", onnode.Notify)
	}
	switch {
	case slices.Equal(args, []string{"agent"}):
		return onnode.Agent(onnode.Notify)
	case slices.Equal(args, []string{"hardware"}):
		return onnode.Hardware()
	case len(args) == 2 && args[0] == "service":
		return onnode.Service(args[1], onnode.Notify)
	}
	return fmt.Errorf("unknown: %q", args)
}
