package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
)

func labCommand() *cobra.Command {
	f := &inputFlags{}
	dir := ""
	cmd := &cobra.Command{
		Use:   "lab -i INVENTORY --dir DIR",
		Short: "Keep simulated nodes up until Ctrl-C, for hlplay and ssh",
		Long: `Lab starts a simulated node on loopback for each host of the inventory, and writes a key, a
known_hosts file and an inventory to DIR:

  hlplay run playbooks/cluster.hcl -i DIR/inventory
  ssh -i DIR/key -o UserKnownHostsFile=DIR/known_hosts -p PORT root@127.0.0.1`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return errors.New("--dir is missing: name a directory for the key, known_hosts and inventory")
			}
			inv, err := f.loadInventory()
			if err != nil {
				return err
			}
			return keepLab(cmd.Context(), inv, dir)
		},
	}
	f.addInventory(cmd)
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` for the key, known_hosts and inventory; created if missing")
	return cmd
}

// keepLab runs a lab until the context ends.
func keepLab(ctx context.Context, inv *inventory.Inventory, dir string) error {
	l, err := lab.Start(ctx, inv, lab.Options{Dir: dir, Speed: 1})
	if err != nil {
		return err
	}
	defer l.Close()
	for _, h := range l.Inventory().Hosts {
		fmt.Printf("%-12s ssh -i %s -o UserKnownHostsFile=%s -p %d root@%s\n", h.Name, h.Keys[0], h.KnownHosts, h.Port, h.SSHAddress)
	}
	fmt.Printf("%-12s %s/inventory\nPress Ctrl-C to end.\n", "inventory", dir)
	<-ctx.Done()
	return nil
}
