package proxmox

import (
	"fmt"
	"slices"
	"strings"
)

const groupsFile = "ha/groups.cfg"

// groups rejects group commands since PVE 9.
func groups(c *Command, verb string) error {
	if c.Node.Debian() != "bookworm" {
		return failed(exitENOENT, "cannot %s: %s", verb, migratedToRules)
	}
	return nil
}

func (v *view) writeGroups(db *Database, all []Section) {
	db.Write(groupsFile, []byte(FormatSections(all, "nodes")), v.now)
}

func haGroupadd(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		if err := groups(c, "create group"); err != nil {
			return err
		}
		all := ParseSections(db.Text(groupsFile))
		if section(all, a.get("group")) >= 0 {
			return fmt.Errorf("create ha group failed: ha group ID '%s' already defined", a.get("group"))
		}
		all = append(all, Section{Type: "group", ID: a.get("group"), Keys: groupKeys(a, map[string]string{})})
		v.writeGroups(db, all)
		return nil
	})
}

func groupKeys(a arguments, keys map[string]string) map[string]string {
	for _, key := range []string{"nodes", "comment", "restricted", "nofailback"} {
		if !a.has(key) {
			continue
		}
		keys[key] = a.get(key)
		switch key {
		case "restricted", "nofailback":
			keys[key] = fmt.Sprint(number(a.bool(key)))
		case "comment":
			keys[key] = encodeComment(a.get(key))
		}
	}
	return keys
}

func haGroupset(c *Command, a arguments) int {
	return c.change(func(v *view, db *Database) error {
		if err := groups(c, "update group"); err != nil {
			return err
		}
		all := ParseSections(db.Text(groupsFile))
		i := section(all, a.get("group"))
		if i < 0 {
			return fmt.Errorf("update ha group failed: no such ha group '%s'", a.get("group"))
		}
		if a.has("digest") && a.get("digest") != digest(db.Text(groupsFile)) {
			return failed(exitDie, "update ha group failed: detected modified configuration - file changed by other user? Try again.")
		}
		groupKeys(a, all[i].Keys)
		for _, key := range splitList(a.get("delete")) {
			delete(all[i].Keys, key)
		}
		v.writeGroups(db, all)
		return nil
	})
}

// migrateGroups migrates groups to rules as the CRM of PVE 9 does (PVE::HA::Manager of pve-ha-manager 5): every sixth
// loop, once all nodes are online with an active LRM and run PVE 9.
func (v *view) migrateGroups(db *Database, members []string) {
	ha := &db.HA
	groups := ParseSections(db.Text(groupsFile))
	if len(groups) == 0 || v.world.node(ha.Master).Debian() == "bookworm" {
		return
	}
	if ha.Cooldown--; ha.Cooldown > 0 {
		return
	}
	ha.Cooldown = 6
	for _, n := range db.corosync().Nodes {
		if !slices.Contains(members, n.Name) || ha.Nodes[n.Name] != "online" || !v.runs(n.Name, "pve-ha-lrm.service", 0) || ha.lrm(n.Name).Waiting ||
			v.world.node(n.Name).Debian() == "bookworm" {
			return
		}
	}
	rules, resources := db.rules(), db.resources()
	for _, g := range groups {
		var sids []string
		for i, r := range resources {
			if r.Keys["group"] != g.ID {
				continue
			}
			sids = append(sids, r.Type+":"+r.ID)
			delete(resources[i].Keys, "group")
			resources[i].Keys["failback"] = fmt.Sprint(number(g.Keys["nofailback"] != "1"))
		}
		if len(sids) == 0 {
			continue // a group without resources disappears
		}
		slices.Sort(sids)
		rule := Section{Type: "node-affinity", ID: "ha-group-" + g.ID, Keys: map[string]string{"nodes": g.Keys["nodes"], "resources": strings.Join(sids, ","),
			"comment": g.Keys["comment"]}}
		if rule.Keys["comment"] == "" {
			rule.Keys["comment"] = "Generated from HA group '" + g.ID + "'."
		}
		if g.Keys["restricted"] == "1" {
			rule.Keys["strict"] = "1"
		}
		rules = append(rules, rule)
	}
	v.writeRules(db, rules)
	v.writeResources(db, resources)
	db.Remove(groupsFile)
}
