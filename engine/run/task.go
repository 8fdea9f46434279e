package run

import (
	"hlplay/engine/lang"
	"hlplay/modules"
)

// task is a task with its position in the playbook.
type task struct {
	*lang.Task
	play    *lang.Play
	handler bool
	// references are what the task's expressions read during the run.
	references lang.References
	// confinable is set if there are arguments for which the order in which hosts carry out the task cannot matter.
	confinable bool
	// checks is set if the task can do nothing but check its own host, whatever its arguments, or what is known of it.
	checks bool
}

func newTask(play *lang.Play, t *lang.Task) *task {
	module := t.Module.New()
	_, confined := module.(modules.Confined)
	reader, reads := module.(modules.Reader)
	return &task{Task: t, play: play, handler: t.IsHandler(), references: t.References(),
		confinable: t.Module.Local || confined, checks: t.Module.Local && reads && reader.OnlyReads()}
}

// user returns the account that the task's commands run as on a host; empty means the login user.
func (t *task) user(h *host) string {
	become := t.Become(h.Name)
	switch {
	case become != nil && become.Enabled:
		return becomeUser(become.User)
	case become == nil && h.Become:
		return becomeUser(h.BecomeUser)
	}
	return ""
}

// observer returns the account that runs the author's reading commands: the one that the task acts as, although
// everything else is read by the host's reader.
func (t *task) observer(h *host) string {
	if user := t.user(h); user != "" || h.connection.reader == "" {
		return user
	}
	return loginUser
}

func becomeUser(user string) string {
	if user == "" {
		return "root"
	}
	return user
}
