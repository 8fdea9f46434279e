package run

import (
	"hlplay/engine/lang"
)

// slot is one task in its place: the unit that is planned, carried out and reported.
type slot struct {
	task    *lang.Task
	play    *lang.Play
	handler bool
	// user is as whom the task's commands run on each host by name; empty means the login user.
	user func(*host) string
	// references are what the task's expressions read during the run.
	references lang.References
}

func newSlot(play *lang.Play, t *lang.Task, handler bool) *slot {
	s := &slot{task: t, play: play, handler: handler, references: t.References()}
	become := t.EffectiveBecome()
	s.user = func(h *host) string {
		switch {
		case become != nil && become.Enabled:
			return becomeUser(become.User)
		case become == nil && h.Become:
			return becomeUser(h.BecomeUser)
		}
		return ""
	}
	return s
}

// observer is as whom a task of the slot reads by running commands of the playbook's author: as whom it
// acts, although everything else is read as the host's reader.
func (s *slot) observer(h *host) string {
	if user := s.user(h); user != "" || h.link.reader == "" {
		return user
	}
	return loginUser
}

// selected says whether tags and skip-tags let a task run.
func (r *runner) selected(t *lang.Task) bool {
	return lang.Selected(t, r.options.Tags, r.options.SkipTags)
}
