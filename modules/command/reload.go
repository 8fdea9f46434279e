package command

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// rereads reports whether the command does nothing but make systemd read its units again. It is known what that changes.
func (c *Command) rereads() bool {
	return c.Always && slices.Equal(c.Argv, []string{"systemctl", "daemon-reload"}) && len(c.Env) == 0 && c.Stdin == "" && c.Dir == "" && slices.Equal(c.OK, []int{0})
}

// regenerates reports whether the command does nothing but write GRUB's menu anew, from the host's own files.
func (c *Command) regenerates() bool {
	return c.Always && slices.Equal(c.Argv, []string{"update-grub"}) && len(c.Env) == 0 && c.Stdin == "" && c.Dir == "" && slices.Equal(c.OK, []int{0})
}

// Confined implements modules.Confined. Of other commands only the playbook's author knows.
func (c *Command) Confined() bool { return c.rereads() || c.regenerates() }

// regenerate returns the step of such a command.
func (c *Command) regenerate() modules.Step {
	const menu = "/boot/grub/grub.cfg"
	step := c.step()
	because := "the command " + title(c.argv()) + " is about to write it"
	step.Unknown, step.Expect = false, []observe.Expectation{observe.Files.Unknown(menu, because), observe.Checksums.Unknown(menu, because)}
	return step
}

// reread returns the step of such a command.
func (c *Command) reread(h modules.Host) modules.Step {
	step := c.step()
	run := step.Action.(modules.Run)
	run.Brief = true
	step.Action, step.Unknown, step.Expect = run, false, observe.Reread(h)
	return step
}
