package qm

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

func TestChanges(t *testing.T) {
	n := func(n int) *int { return &n }
	for name, test := range map[string]struct {
		m                   Module
		have, pending       map[string]string
		running             bool
		want, note, refused string
		risk                modules.Risk
	}{
		"as it is":              {m: Module{Memory: n(2048), Cores: n(2), Disks: map[string]string{"scsi0": "vm-disks:32"}, Options: map[string]string{"onboot": "0", "tags": ""}}},
		"off":                   {m: Module{Memory: n(4096), Cores: n(4)}, want: "qm set 100 --cores 4 --memory 4096 --digest abc"},
		"running":               {m: Module{Memory: n(4096)}, running: true, want: "qm set 100 --memory 4096 --digest abc", note: `virtual machine 100 (sso): memory takes effect at its next start (qm reboot 100); until then it is "2048"`},
		"waiting already":       {m: Module{Memory: n(4096)}, pending: map[string]string{"memory": "4096"}, running: true, note: "memory takes effect at its next start"},
		"taken back":            {m: Module{Memory: n(2048)}, pending: map[string]string{"memory": "4096"}, running: true, want: "qm set 100 --memory 2048 --digest abc"},
		"at once":               {m: Module{Options: map[string]string{"onboot": "1", "description": "first", "protection": "true"}}, running: true, want: "qm set 100 --description first --onboot 1 --protection true --digest abc"},
		"its share of the CPU":  {m: Module{Options: map[string]string{"cpulimit": "1.5", "cpuunits": "200"}}, running: true, want: "qm set 100 --cpulimit 1.5 --cpuunits 200 --digest abc"},
		"the guest's agent":     {m: Module{Options: map[string]string{"agent": "1"}}, running: true, want: "qm set 100 --agent 1 --digest abc", note: "agent takes effect at its next start"},
		"deleted":               {m: Module{Options: map[string]string{"tags": ""}}, have: map[string]string{"tags": "old"}, want: "qm set 100 --delete tags --digest abc"},
		"plugged in":            {m: Module{Memory: n(4096), Options: map[string]string{"onboot": "1"}}, have: map[string]string{"hotplug": "disk,memory"}, running: true, want: "qm set 100 --onboot 1 --digest abc", note: `memory is "2048", the task specifies "4096"; not changed`},
		"the agent, plugged in": {m: Module{Options: map[string]string{"agent": "1"}}, have: map[string]string{"hotplug": "cpu,memory"}, running: true, want: "qm set 100 --agent 1 --digest abc", note: "agent takes effect at its next start"},
		"grown":                 {m: Module{Disks: map[string]string{"scsi0": "vm-disks:64"}}, running: true, want: "qm disk resize 100 scsi0 64G --digest abc"},
		"never shrunk":          {m: Module{Disks: map[string]string{"scsi0": "vm-disks:16"}}, note: "not changed"},
		"on another storage":    {m: Module{Disks: map[string]string{"scsi0": "local:64"}}, note: "not changed"},
		"what depends on it":    {m: Module{Options: map[string]string{"bios": "ovmf"}}, note: `bios is "", the task specifies "ovmf"; not changed`},
		"started":               {m: Module{State: "started"}, want: "qm start 100"},
		"started already":       {m: Module{State: "started"}, running: true},
		"changed and started":   {m: Module{Memory: n(4096), State: "started"}, want: "qm set 100 --memory 4096 --digest abc\nqm start 100"},
		"stopped":               {m: Module{State: "stopped"}, running: true, want: "qm shutdown 100 --timeout 180", risk: modules.Restarts},
		"stopped and changed":   {m: Module{Memory: n(4096), State: "stopped"}, running: true, want: "qm shutdown 100 --timeout 180\nqm set 100 --memory 4096 --digest abc", risk: modules.Restarts},
		"locked":                {m: Module{Memory: n(4096)}, have: map[string]string{"lock": "backup"}, refused: "virtual machine 100 (sso) is locked (backup)"},
		"locked, nothing to do": {m: Module{Memory: n(2048)}, have: map[string]string{"lock": "backup"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := modulestest.Decoded(&test.m)
			m.ID, m.Name, m.Node = 100, "sso", "pve3"
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			h := withDevices(test.running, test.have, test.pending)
			h.Predict([]observe.Expectation{pve.HAs.Expect("", pve.HA{Resources: map[string]pve.Resource{}, Services: map[string]pve.Service{}, Nodes: map[string]string{}})})
			if test.refused != "" {
				if _, err := m.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("error %v, want %q", err, test.refused)
				}
				return
			}
			plan := modulestest.Converges(t, m, h)
			var commands []string
			for i, step := range plan.Steps {
				commands = append(commands, strings.Join(step.Action.(modules.Run).Argv, " "))
				if i == 0 && step.Risk != test.risk {
					t.Errorf("the risk of %q is %v, want %v", step.Summary, step.Risk, test.risk)
				}
			}
			if got := strings.Join(commands, "\n"); got != test.want {
				t.Errorf("commands:\n%s\nwant:\n%s", got, test.want)
			}
			if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}
