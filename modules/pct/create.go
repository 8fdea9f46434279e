package pct

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// create plans the creation on the named host.
func (m *Module) create(ctx context.Context, h modules.Host, guests map[int]pve.Guest) (modules.Plan, error) {
	target, node, err := pve.CreateOn(ctx, h, m.Node)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := pve.CheckNewDisks(ctx, h, m.Disks, node, "lxc"); err != nil {
		return modules.Plan{}, err
	}
	if err := m.checkTemplate(ctx, h, target, node); err != nil {
		return modules.Plan{}, err
	}
	want := m.wanted()
	maps.Copy(want, m.Disks)
	maps.Copy(want, m.Net)
	want["hostname"] = m.Hostname
	if want["unprivileged"] == "" {
		want["unprivileged"] = "1"
	}
	argv := []string{"pct", "create", strconv.Itoa(m.ID), m.Template}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if want[key] != "" { // the option is unset already
			argv = append(argv, "--"+key, want[key])
		}
	}
	if m.SSHKeys != "" {
		if err := pve.CheckKeyFile(ctx, target, m.SSHKeys); err != nil {
			return modules.Plan{}, err
		}
		argv = append(argv, "--ssh-public-keys", m.SSHKeys)
	}
	for _, key := range passing {
		delete(want, key)
	}
	if truth, _ := pve.Truth(want["unprivileged"]); !truth {
		delete(want, "unprivileged") // Proxmox VE writes it only if it is
	}
	maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
	config := pve.GuestConfig{Guest: pve.Guest{Node: node, Type: "lxc"}, Options: want}
	summary := fmt.Sprintf("create container %d (%s) on %s from %s: %s", m.ID, m.Hostname, node, m.Template, m.volumes())
	step := pve.Create(summary, h, target, m.ID, config, guests, argv)
	plan := modules.Plan{Steps: []modules.Step{step}, Data: modules.Data(result{ID: m.ID, Node: node})}
	if m.State == "started" {
		config.Exists = true
		start, err := pve.Power{ID: m.ID, On: true}.Plan(ctx, h, target, config)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = append(plan.Steps, start...)
	}
	return plan, nil
}

func (m *Module) volumes() string {
	var all []string
	for _, slot := range slices.Sorted(maps.Keys(m.Disks)) {
		all = append(all, slot+" "+m.Disks[slot])
	}
	return strings.Join(all, ", ")
}

// checkTemplate rejects a template that is not there. Only storages with a path of their own tell by a file.
func (m *Module) checkTemplate(ctx context.Context, h, target modules.Host, node string) error {
	name, file, _ := strings.Cut(m.Template, ":vztmpl/")
	if err := pve.CheckStorage(ctx, h, "template", name, node, "vztmpl", "templates of containers"); err != nil {
		return err
	}
	storages, err := pve.Storages.Observe(ctx, h, "")
	if err != nil || storages[name].Options["path"] == "" {
		return err
	}
	path := storages[name].Options["path"] + "/template/cache/" + file
	found, err := observe.Exists(ctx, target, path)
	if err == nil && !found {
		err = fmt.Errorf("template: %s has no %s: download it first (pveam update; pveam available --section system; pveam download %s %s)", target.Name(), path, name, file)
	}
	return err
}
