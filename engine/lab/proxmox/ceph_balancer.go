package proxmox

func balancerCommands() []cephCommand {
	return []cephCommand{
		{words: "balancer on", mgr: true, run: func(_ *view, c *Ceph, _ []string) reply { c.Unbalanced = false; return reply{changed: true} }},
		{words: "balancer off", mgr: true, run: func(_ *view, c *Ceph, _ []string) reply { c.Unbalanced = true; return reply{changed: true} }},
		{words: "balancer status", mgr: true, run: func(_ *view, c *Ceph, _ []string) reply {
			return reply{value: obj("active", !c.Unbalanced, "last_optimize_duration", "0:00:00.000376", "last_optimize_started", "", "mode", "upmap", "no_optimization_needed", true, "optimize_result", "Unable to find further optimization, or pool(s) pg_num is decreasing, or distribution is already perfect", "plans", []any{})}
		}},
	}
}
