package survival

import (
	"fmt"
	"slices"
	"strings"
)

// findings returns sentences about what may come as a surprise, the most serious first.
func findings(c Cluster, r Report) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if len(r.Offline) > 0 {
		say("%s %s offline already, and counted as lost in every line.", list(r.Offline), isAre(r.Offline))
	}
	now := Lose(c)
	if !now.Quorate {
		say("The cluster has no quorum now: %d of %d votes, and %d are needed.", now.Votes, now.VotesOf, now.VotesNeeded)
	}
	r.quorum(c, say)
	r.monitors(c, say)
	for i, pool := range c.Pools {
		same := func(p Pool) bool { return p.Size == pool.Size && p.MinSize == pool.MinSize && p.Spread == pool.Spread }
		if slices.IndexFunc(c.Pools, same) == i { // pools that are alike are judged together
			var names []string
			for _, p := range c.Pools {
				if same(p) {
					names = append(names, p.Name)
				}
			}
			r.pool(i, pool, now.Pools[i], names, say)
		}
	}
	r.metadata(c, say)
	r.guests(c, say)
	return all
}

// quorum adds sentences about votes, and about what a QDevice changes.
func (r Report) quorum(c Cluster, say func(string, ...any)) {
	for _, count := range []int{1, 2} {
		ending := r.where(count, func(l Loss) bool { return !l.Quorate })
		if len(ending) == 0 {
			continue
		}
		l := ending[0]
		say("Losing %s ends the quorum: %d of %d votes are left, and %d are needed. /etc/pve is read-only then, nothing is started or moved, and each node with highly available guests resets itself after a minute.",
			r.describe(count, ending), l.Votes, l.VotesOf, l.VotesNeeded)
		var enough []string
		for i, p := range c.Pools {
			if p.Spread.Unknown == "" && !slices.ContainsFunc(ending, func(l Loss) bool { return l.Pools[i].Copies < p.MinSize }) {
				enough = append(enough, fmt.Sprintf("%s (%d copies, min_size %d)", p.Name, p.Size, p.MinSize))
			}
		}
		if len(enough) > 0 {
			say("%s would have enough copies after losing %s, but that does not help: the nodes have no quorum.", list(enough), r.describe(count, ending))
		}
	}
	r.deviceAway(c, say)
	if len(r.WithDevice) == 0 {
		return
	}
	for _, count := range []int{1, 2} {
		kept := sized(r.WithDevice, count)
		if len(kept) == 0 {
			continue
		}
		l := kept[0]
		text := fmt.Sprintf("With a QDevice of one vote, losing %s would keep the quorum: %d of %d votes.", r.describe(count, kept), l.Votes, l.VotesOf)
		if stopped := slices.DeleteFunc(slices.Clone(kept), func(l Loss) bool { return !stops(l) }); len(stopped) > 0 {
			text += fmt.Sprintf(" It does not help Ceph, which would still stop, at least in part, after losing %s.", r.describe(count, stopped))
		}
		say("%s", text)
	}
}

// deviceAway adds a sentence about the loss of one node while the QDevice does not vote.
func (r Report) deviceAway(c Cluster, say func(string, ...any)) {
	if c.DeviceVotes == 0 {
		return
	}
	without := c
	without.DeviceVotes = 0
	ending := r.where(1, func(l Loss) bool { return l.Quorate && l.Votes-c.DeviceVotes < l.VotesNeeded })
	if len(ending) == 0 {
		return
	}
	l := ending[0]
	text := fmt.Sprintf("While the QDevice does not vote, because its host is down or not reached, losing %s ends the quorum: %d of %d votes are left, and %d are needed.",
		r.describe(1, ending), l.Votes-c.DeviceVotes, l.VotesOf, l.VotesNeeded)
	if Lose(without, l.Lost...).Quorate {
		text += " Without any QDevice it would be kept: a QDevice helps only an even number of nodes."
	}
	say("%s", text)
}

// stops reports whether a pool or the monitors stop.
func stops(l Loss) bool {
	return l.MonitorsOf > 0 && !l.MonitorQuorum || slices.ContainsFunc(l.Pools, func(p PoolState) bool { return p.Copies >= 0 && !p.Writes })
}

// monitors adds sentences about the monitors' quorum.
func (r Report) monitors(c Cluster, say func(string, ...any)) {
	n := len(c.Monitors)
	if n == 0 {
		return
	}
	for _, count := range []int{1, 2} {
		if ending := r.where(count, func(l Loss) bool { return !l.MonitorQuorum }); len(ending) > 0 {
			l := ending[0]
			say("Losing %s ends the quorum of the monitors: %d of %d are left, and %d are needed. All pools then stop, however many copies are left.",
				r.describe(count, ending), l.Monitors, l.MonitorsOf, l.MonitorsNeeded)
		}
	}
	if n%2 == 0 {
		say("%d monitors survive the loss of %d, no more than %d would: an even number has no benefit.", n, (n-1)/2, n-1)
	}
}

// pool adds sentences about pools that are alike.
func (r Report) pool(i int, p Pool, now PoolState, names []string, say func(string, ...any)) {
	subject, plural := "Pool "+names[0], false
	if plural = len(names) > 1; plural {
		subject = "Pools " + list(names)
	}
	verb := func(singular, several string) string {
		if plural {
			return several
		}
		return singular
	}
	if p.Spread.Unknown != "" {
		say("%s %s not judged: %s.", subject, verb("is", "are"), p.Spread.Unknown)
		return
	}
	if now.Copies < p.MinSize {
		say("%s may have placement groups with %d of %d copies now, fewer than the min_size of %d.", subject, now.Copies, p.Size, p.MinSize)
	}
	for _, count := range []int{1, 2} {
		gone := r.where(count, func(l Loss) bool { return l.Pools[i].Copies == 0 })
		if len(gone) > 0 {
			say("%s may lose data for good with %s: all copies of a placement group may lie there.", subject, r.describe(count, gone))
		}
		blocked := r.where(count, func(l Loss) bool { return l.Pools[i].Copies > 0 && l.Pools[i].Copies < p.MinSize })
		if len(blocked) == 0 {
			continue
		}
		why := ""
		if count == 1 && p.Spread.PerHost != 1 {
			why = " The rule may put several copies on one host."
		}
		say("%s %s after losing %s, for reading and for writing: in the worst case %s left of %d, and min_size is %d.%s",
			subject, verb("stops", "stop"), r.describe(count, blocked), copiesAre(blocked[0].Pools[i].Copies), p.Size, p.MinSize, why)
	}
}

// metadata adds sentences about CephFS.
func (r Report) metadata(c Cluster, say func(string, ...any)) {
	if len(c.FileSystems) == 0 {
		return
	}
	for _, count := range []int{1, 2} {
		if without := r.where(count, func(l Loss) bool { return !l.FileSystems }); len(without) > 0 {
			say("CephFS (%s) has too few metadata servers after losing %s: %d, and each file system needs one.", list(c.FileSystems), r.describe(count, without), without[0].MetadataServers)
		}
	}
}

// guests adds sentences about highly available guests that are not restarted despite a quorum, and about memory.
func (r Report) guests(c Cluster, say func(string, ...any)) {
	for _, count := range []int{1, 2} {
		for _, l := range sized(r.Losses, count) {
			for _, m := range l.Guests {
				if l.Quorate && m.To == "" && (count == 1 || !r.saidOfOne(m, l.Lost)) {
					say("%s does not run after losing %s: %s.", m.Guest, strings.Join(l.Lost, " and "), m.Why)
				}
			}
			if !l.Quorate {
				continue
			}
			before, load := c.load(nil), c.load(l.Guests)
			for _, n := range c.Nodes {
				if n.Memory > 0 && load[n.Name] > max(n.Memory, before[n.Name]) && !slices.Contains(l.Lost, n.Name) {
					say("After losing %s, highly available guests on %s may take %s of memory, and it has %s.", strings.Join(l.Lost, " and "), n.Name, gib(load[n.Name]), gib(n.Memory))
				}
			}
		}
	}
}

// saidOfOne reports whether the same was already said about the loss of one of the nodes.
func (r Report) saidOfOne(m Move, lost []string) bool {
	return slices.ContainsFunc(sized(r.Losses, 1), func(l Loss) bool { return slices.Contains(lost, l.Lost[0]) && slices.Contains(l.Guests, m) })
}

func gib(bytes uint64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }

// where returns the losses of count nodes for which something holds.
func (r Report) where(count int, holds func(Loss) bool) []Loss {
	return slices.DeleteFunc(sized(r.Losses, count), func(l Loss) bool { return !holds(l) })
}

// sized returns the losses of count nodes.
func sized(losses []Loss, count int) []Loss {
	return slices.DeleteFunc(slices.Clone(losses), func(l Loss) bool { return len(l.Lost) != count })
}

// describe names losses: "any node", "any two nodes", or which.
func (r Report) describe(count int, losses []Loss) string {
	if of := len(sized(r.Losses, count)); len(losses) == of && of > 1 {
		return [...]string{1: "any node", 2: "any two nodes"}[count]
	}
	const most = 4
	var sets []string
	for _, l := range losses {
		sets = append(sets, strings.Join(l.Lost, " and "))
	}
	if more := len(sets) - most; more > 0 {
		sets = append(sets[:most], fmt.Sprintf("%d more", more))
	}
	if count == 1 || len(sets) == 1 {
		return strings.Join(sets, " or ")
	}
	return strings.Join(sets, "; or ")
}

func isAre(names []string) string {
	if len(names) == 1 {
		return "is"
	}
	return "are"
}

func copiesAre(n int) string {
	if n == 1 {
		return "1 copy is"
	}
	return fmt.Sprintf("%d copies are", n)
}
