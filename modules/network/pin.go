package network

import (
	"context"
	"fmt"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/network/interfaces"
)

// linkFile returns the path of the file from which systemd-udevd takes the name of a network card (systemd.link(5)).
func linkFile(name string) string { return "/etc/systemd/network/10-" + name + ".link" }

// planPins plans the files that pin the names of the network cards, and the update of the initramfs images, where cards are
// already renamed.
func (m *Module) planPins(ctx context.Context, h modules.Host, s site) ([]modules.Step, error) {
	if !m.Pin {
		return nil, nil
	}
	var steps []modules.Step
	var files []string
	for _, w := range s.wants {
		card, there := s.links.ByName[w.name]
		if w.kind != interfaces.Plain || !there || card.Kind != "" && card.Kind != "veth" {
			continue
		}
		if len(card.MAC) != len("00:00:00:00:00:00") || strings.Trim(card.MAC, "0:") == "" {
			return nil, fmt.Errorf("%s: %s has no MAC address to pin its name to: leave pin out", w.block, w.name)
		}
		text := fmt.Sprintf("# Kept by hlplay.\n[Match]\nMACAddress=%s\nType=ether\n\n[Link]\nName=%s\n", card.MAC, w.name)
		written, err := conffile.Write(ctx, h, linkFile(w.name), text, "pin the name of "+w.name+", "+card.MAC)
		if err != nil {
			return nil, err
		}
		steps = append(steps, written...)
		files = append(files, linkFile(w.name))
	}
	if len(files) == 0 {
		return nil, nil
	}
	rebuilt, err := conffile.RebuildInitramfs(ctx, h, len(steps) > 0, files...)
	return append(steps, rebuilt...), err
}
