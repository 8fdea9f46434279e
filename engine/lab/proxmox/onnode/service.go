//go:build linux

package onnode

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"hlplay/engine/lab/proxmox"
)

// terminated returns a channel that receives the request to terminate.
func terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	return c
}

// Notify tells systemd that the service is ready (sd_notify(3)). Outside of a service it does nothing.
func Notify() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	_, err = conn.Write([]byte("READY=1"))
	return err
}

// Service runs as the process of a unit and tells the lab when it starts and stops. While running, pve-cluster mounts
// /etc/pve and pveproxy listens.
func Service(unit string, ready func() error) error {
	end := terminated()
	world, self, err := lab()
	if err != nil {
		return err
	}
	if unit == "pveproxy.service" {
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(proxmox.WebPort))
		if err != nil {
			return err
		}
		defer listener.Close()
		go func() {
			if err := proxmox.ServeWeb(self, listener); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
	if err := world.UnitStarted(self, unit); err != nil {
		return err
	}
	defer world.UnitStopped(self, unit)
	if unit == "pve-cluster.service" && !self.mounted {
		return fmt.Errorf("/etc/pve is not mounted")
	}
	if err := ready(); err != nil {
		return err
	}
	<-end
	return nil
}
