package inventory

import (
	"fmt"
	"io"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Write formats an inventory as HCL that Load reads back as the same hosts and groups. The connection settings are
// written with each host, the variables with the groups that set them. Deleting an inherited variable from Host.Vars
// has no effect.
func Write(w io.Writer, inv *Inventory) error {
	file := hclwrite.NewEmptyFile()
	body := file.Body()
	for _, host := range inv.Hosts {
		if err := inv.writeHost(body.AppendNewBlock("host", []string{host.Name}).Body(), host); err != nil {
			return err
		}
		body.AppendNewline()
	}
	for _, group := range inv.Groups {
		switch {
		case group.Name == groupUngrouped, group.Name == groupAll && len(group.Vars) == 0:
			continue
		}
		block := body.AppendNewBlock("group", []string{group.Name}).Body()
		if group.Name != groupAll {
			block.SetAttributeValue("hosts", stringList(inv.direct(group)))
			if len(group.Children) > 0 {
				block.SetAttributeValue("children", stringList(group.Children))
			}
		}
		if len(group.Vars) > 0 {
			if err := inv.setVars(block, group.Vars, group.varsAt); err != nil {
				return err
			}
		}
		body.AppendNewline()
	}
	if _, err := w.Write(hclwrite.Format(file.Bytes())); err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	return nil
}

func (inv *Inventory) writeHost(body *hclwrite.Body, host *Host) error {
	text := func(name, value, unless string) {
		if value != unless {
			body.SetAttributeValue(name, cty.StringVal(value))
		}
	}
	text("address", host.Address, host.Name)
	text("ssh_address", host.SSHAddress, "")
	if host.Port != 0 {
		body.SetAttributeValue("port", cty.NumberIntVal(int64(host.Port)))
	}
	text("user", host.User, "")
	if len(host.Keys) > 0 {
		body.SetAttributeValue("keys", stringList(host.Keys))
	}
	text("known_hosts", host.KnownHosts, "")
	if len(host.Forwards) > 0 {
		body.SetAttributeValue("forwards", forwardsValue(host.Forwards))
	}
	text("connection", host.Connection, "ssh")
	if host.Become || host.BecomeGiven {
		body.SetAttributeValue("become", cty.BoolVal(host.Become))
	}
	text("become_user", host.BecomeUser, "")
	if vars := inv.own(host); len(vars) > 0 {
		if err := inv.setVars(body, vars, host.varsAt); err != nil {
			return err
		}
	}
	writeRehearsal(body, host.Rehearsal)
	return nil
}

func writeRehearsal(body *hclwrite.Body, r Rehearsal) {
	if r.Debian == "" && len(r.Disks) == 0 && len(r.Addresses) == 0 && len(r.Guests) == 0 && len(r.Packages) == 0 && len(r.Downloads) == 0 && r.BootLoader == "" && !r.IOMMU && len(r.PCI) == 0 && len(r.USB) == 0 && len(r.Renames) == 0 {
		return
	}
	block := body.AppendNewBlock("rehearsal", nil).Body()
	if r.Debian != "" {
		block.SetAttributeValue("debian", cty.StringVal(r.Debian))
	}
	if len(r.Addresses) > 0 {
		block.SetAttributeValue("addresses", stringList(r.Addresses))
	}
	if r.BootLoader != "" {
		block.SetAttributeValue("boot_loader", cty.StringVal(r.BootLoader))
	}
	if r.IOMMU {
		block.SetAttributeValue("iommu", cty.True)
	}
	setTexts(block, "guests", r.Guests)
	setTexts(block, "usb", r.USB)
	for _, p := range r.Packages {
		writePackage(block.AppendNewBlock("package", []string{p.Name}).Body(), p)
	}
	for _, d := range r.Downloads {
		writeDownload(block.AppendNewBlock("download", []string{d.URL}).Body(), d)
	}
	for _, d := range r.PCI {
		writePCI(block.AppendNewBlock("pci", []string{d.Address}).Body(), d)
	}
	for _, n := range r.Renames {
		writeRename(block.AppendNewBlock("rename", []string{n.Card}).Body(), n)
	}
	for _, disk := range r.Disks {
		inner := block.AppendNewBlock("disk", []string{disk.Name}).Body()
		if disk.Size != 0 {
			inner.SetAttributeValue("size", cty.StringVal(formatSize(disk.Size)))
		}
		for _, attr := range []struct{ name, value string }{{"serial", disk.Serial}, {"model", disk.Model}, {"use", disk.Use}} {
			if attr.value != "" {
				inner.SetAttributeValue(attr.name, cty.StringVal(attr.value))
			}
		}
		if len(disk.Partitions) > 0 {
			var sizes []cty.Value
			for _, size := range disk.Partitions {
				sizes = append(sizes, cty.StringVal(formatSize(size)))
			}
			inner.SetAttributeValue("partitions", cty.TupleVal(sizes))
		}
		if disk.Rotational {
			inner.SetAttributeValue("rotational", cty.True)
		}
	}
}

// own returns the host's variables that its groups do not set, or set to another value.
func (inv *Inventory) own(host *Host) map[string]cty.Value {
	given := map[string]cty.Value{}
	for _, name := range host.Groups {
		if group := inv.Group(name); group != nil {
			given = merged(given, group.Vars)
		}
	}
	own := map[string]cty.Value{}
	for name, value := range host.Vars {
		if other, ok := given[name]; !ok || !value.RawEquals(other) {
			own[name] = value
		}
	}
	return own
}

// direct returns the names of those hosts of a group that are not in any of its child groups.
func (inv *Inventory) direct(group *Group) []string {
	below := map[*Host]bool{}
	for _, name := range group.Children {
		if child := inv.Group(name); child != nil {
			for _, host := range child.Hosts {
				below[host] = true
			}
		}
	}
	var names []string
	for _, host := range group.Hosts {
		if !below[host] {
			names = append(names, host.Name)
		}
	}
	return names
}

// setTexts writes an object of strings, if there are any.
func setTexts(body *hclwrite.Body, name string, texts map[string]string) {
	if len(texts) == 0 {
		return
	}
	values := make(map[string]cty.Value, len(texts))
	for key, text := range texts {
		values[key] = cty.StringVal(text)
	}
	body.SetAttributeValue(name, cty.ObjectVal(values))
}
