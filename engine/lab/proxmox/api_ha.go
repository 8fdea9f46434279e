package proxmox

// haEndpoints are the API paths below /cluster/ha.
func haEndpoints() []endpoint {
	return []endpoint{
		get("cluster/ha/resources", func(_ *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			list := []any{}
			for _, r := range db.resources() {
				list = append(list, resourceEntry(db, r))
			}
			return list, nil
		}),
		get("cluster/ha/resources/{}", func(_ *Command, _ *view, db *Database, parts []string, _ arguments) (any, error) {
			for _, r := range db.resources() {
				if r.Type+":"+r.ID == parts[0] || r.ID == parts[0] {
					return resourceEntry(db, r), nil
				}
			}
			return nil, failed(exitENOENT, "no such resource '%s'", parts[0])
		}),
		viaProgram("create", "cluster/ha/resources", haAdd),
		viaProgram("set", "cluster/ha/resources/{}", haSet, "sid"),
		viaProgram("delete", "cluster/ha/resources/{}", haRemove, "sid"),
		viaProgram("create", "cluster/ha/resources/{}/migrate", haMigrate("migrate"), "sid"),
		viaProgram("create", "cluster/ha/resources/{}/relocate", haMigrate("relocate"), "sid"),
		get("cluster/ha/groups", func(c *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			if err := groups(c, "index groups"); err != nil {
				return nil, err
			}
			list := []any{}
			for _, g := range ParseSections(db.Text(groupsFile)) {
				entry := map[string]any{"group": g.ID, "type": "group", "digest": digest(db.Text(groupsFile))}
				for key, value := range g.Keys {
					entry[key] = value
					if key == "restricted" || key == "nofailback" {
						entry[key] = count(value, 0)
					}
				}
				list = append(list, entry)
			}
			return list, nil
		}),
		viaProgram("create", "cluster/ha/groups", haGroupadd),
		viaProgram("set", "cluster/ha/groups/{}", haGroupset, "group"),
		viaProgram("delete", "cluster/ha/groups/{}", haGroupremove, "group"),
		get("cluster/ha/rules", func(c *Command, v *view, db *Database, _ []string, a arguments) (any, error) {
			if c.Node.Debian() == "bookworm" {
				return nil, failed(1, "No 'get' handler defined for '/cluster/ha/rules'")
			}
			return v.ruleList(db, a), nil
		}),
		viaProgram("create", "cluster/ha/rules", haRulesAdd),
		viaProgram("set", "cluster/ha/rules/{}", haRulesSet, "rule"),
		viaProgram("delete", "cluster/ha/rules/{}", haRulesRemove, "rule"),
		get("cluster/ha/status/current", func(c *Command, v *view, _ *Database, _ []string, _ arguments) (any, error) {
			list := []any{}
			for _, e := range v.haStatus(c.Node.Name()) {
				list = append(list, map[string]any(e))
			}
			return list, nil
		}),
		get("cluster/ha/status/manager_status", func(c *Command, v *view, _ *Database, _ []string, _ arguments) (any, error) {
			return v.managerStatus(c.Node.Name()), nil
		}),
	}
}

func resourceEntry(db *Database, r Section) map[string]any {
	entry := map[string]any{"sid": r.Type + ":" + r.ID, "type": r.Type, "digest": digest(db.Text(resourcesFile))}
	for key, value := range r.Keys {
		switch key {
		case "max_restart", "max_relocate", "failback":
			entry[key] = count(value, 1)
		case "comment":
			entry[key] = decodeComment(value)
		default:
			entry[key] = value
		}
	}
	return entry
}
