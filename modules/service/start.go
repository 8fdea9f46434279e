package service

import (
	_ "embed"
	"fmt"
	"strings"
)

// startScript starts a unit and checks whether it keeps running.
//
//go:embed start.sh
var startScript string

// StartError is returned for a unit that did not start, or that ended right after it had started.
type StartError struct {
	Unit, Verb string
	// Reason is what systemd says about it.
	Reason string
	// Journal is the end of the unit's journal.
	Journal string
}

func (e *StartError) Error() string {
	return fmt.Sprintf("systemctl %s %s: %s", e.Verb, e.Unit, e.Reason)
}

// Hint says where to find more.
func (e *StartError) Hint() string {
	return "journalctl -u " + e.Unit + " --no-pager shows the rest of its journal"
}

// Output returns what to show in addition to the message.
func (e *StartError) Output() string { return e.Journal }

// explainStart parses the output of startScript.
func explainStart(name, verb string) func(int, []byte, []byte) error {
	return func(exit int, stdout, stderr []byte) error {
		shown, journal, _ := strings.Cut(string(stdout), "\n\n")
		properties := map[string]string{}
		for line := range strings.Lines(shown) {
			property, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			properties[property] = value
		}
		e := &StartError{Unit: name, Verb: verb, Journal: strings.TrimSpace(journal), Reason: strings.TrimSpace(string(stderr))}
		if e.Reason == "" {
			e.Reason = ending(properties)
		}
		return e
	}
}

// ending describes how a unit ended even though systemctl says that it was started.
func ending(properties map[string]string) string {
	how := "with exit status " + properties["ExecMainStatus"]
	if result := properties["Result"]; result != "success" && result != "exit-code" {
		how = "(" + result + ")"
	}
	switch {
	case properties["Type"] == "oneshot" && properties["Result"] == "success":
		return "it finished, or a condition in its unit file is not met: a oneshot without RemainAfterExit=yes never counts as started; use state = \"restarted\" in a handler, or let its timer start it"
	case properties["ActiveState"] == "inactive" && properties["MainPID"] == "0" && properties["Result"] == "success":
		return "it is not running: it exited without an error, or a condition in its unit file is not met"
	case properties["SubState"] == "auto-restart", properties["ActiveState"] == "active":
		return "its process exited immediately " + how + ", and systemd keeps restarting it"
	}
	return "its process exited immediately " + how
}
