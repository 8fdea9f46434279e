// Package raid implements the module that creates and maintains the kernel's software RAIDs.
package raid

import (
	"context"
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
	"hlplay/modules/internal/conffile"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "raid",
	Aliases: []string{"mdadm"},
	Summary: "A software RAID, created and maintained",
	Doc: `Creates a Linux software RAID (md) with mdadm, lists it in /etc/mdadm/mdadm.conf and rebuilds the initramfs images, so that it
has its name at every boot. Its device is /dev/md/NAME; an array that already runs under another name keeps that until it is next
started, so later tasks should use the result's ` + "`device`" + `. The task does not wait for the initial synchronization: the array can be used meanwhile.

Every disk must be blank, which is checked again right before the array is created. A disk that is not blank is refused, and the error says what is on
it, unless its serial is in ` + "`wipe`" + `. A device that is mounted or in use is never wiped, nor one that the host boots
or runs from. An array that exists but was not started, for example because the host was reinstalled, is started instead.

Later changes of ` + "`disks`" + ` are applied too:

- A new disk in place of one that has failed or is missing is added and rebuilt.
- A new disk in place of a healthy one is copied first, so that the array keeps its redundancy. The next run removes the
  old disk.
- With an additional disk, the array is reshaped over all of them, which takes as long as writing all disks. Grow the file system
  afterwards.

The task fails if a disk has failed or is missing and has no replacement. Arrays are never shrunk, converted to another level, or removed. The
result has ` + "`device`, `uuid`, `degraded` and `sync`" + `, the current operation: idle, resync, recover, reshape or check.`,
	Example: `task "an array for bulk data" {
  raid {
    name  = "bulk"
    level = 6
    disks = ["ata-WDC_WD80EFZX_VK0EXAMPLE1", "ata-WDC_WD80EFZX_VK0EXAMPLE2", "ata-WDC_WD80EFZX_VK0EXAMPLE3", "ata-WDC_WD80EFZX_VK0EXAMPLE4"]
    mail  = "admin@example.org"
  }
}`,
	Packages: []modules.Package{{Name: "mdadm", Files: []string{program}, Installed: func(context.Context, modules.Host) ([]observe.Expectation, error) {
		return []observe.Expectation{observe.Paths.Expect(program, true)}, nil
	}}},
	Result: Result{},
	New:    func() modules.Module { return &raid{} },
}

const (
	program = "/usr/sbin/mdadm"
	mailer  = "/usr/sbin/sendmail"
)

// Result is what the module registers.
type Result struct {
	Device   string `cty:"device" doc:"The path of the array: /dev/md/NAME, or /dev/md127 while it runs without its name."`
	UUID     string `cty:"uuid" doc:"Its UUID, as lsblk shows it for the members."`
	Degraded int    `cty:"degraded" doc:"How many disks are missing or still being rebuilt."`
	Sync     string `cty:"sync" doc:"The current operation: idle, resync, recover, reshape or check; empty before the array is created."`
}

type raid struct {
	Name  string   `hcl:"name" doc:"The name of the array, below /dev/md."`
	Level string   `hcl:"level" enum:"1,5,6,10" doc:"The level: 1 (mirror), 5 (one disk may fail), 6 (two may) or 10 (mirrors, striped)."`
	Disks []string `hcl:"disks" doc:"Its disks: serials, names in /dev/disk/by-id, or paths. Other names may change between boots."`
	Wipe  []string `hcl:"wipe,optional" doc:"Serials of disks that may be wiped."`
	Mail  string   `hcl:"mail,optional" doc:"Recipient of mail about failed disks (MAILADDR in mdadm.conf, shared by all arrays). By default it is left unchanged."`
}

var (
	nameForm = pattern.New(`^[A-Za-z][A-Za-z0-9_.-]{0,31}$`)
	mailForm = pattern.New(`^[^\s#"]+$`)
	// fewest is the smallest number of disks of each level.
	fewest = map[string]int{"1": 2, "5": 3, "6": 4, "10": 2}
)

func (m *raid) Validate() error {
	switch {
	case !nameForm.MatchString(m.Name):
		return &modules.ArgumentError{Argument: "name", Problem: fmt.Sprintf("%q cannot be used as the name of an array", m.Name), Want: "expected a letter, then at most 31 letters, digits, underscores, dots and hyphens"}
	case len(m.Disks) < fewest[m.Level]:
		return &modules.ArgumentError{Argument: "disks", Problem: fmt.Sprintf("%d disks are too few for level %s", len(m.Disks), m.Level), Want: fmt.Sprintf("at least %d", fewest[m.Level])}
	case m.Mail != "" && !mailForm.MatchString(m.Mail):
		return &modules.ArgumentError{Argument: "mail", Problem: fmt.Sprintf("%q is not an address", m.Mail), Want: "write it as in admin@example.org, or root"}
	}
	return blank.CheckNames("disks", m.Disks)
}

// device returns the path of the array of that name.
func device(name string) string { return "/dev/md/" + name }

// Want implements modules.Announcer.
func (m *raid) Want(h modules.Host) {
	observe.Disks.Want(h, "")
	arrays.Want(h, "")
	observe.Files.Want(h, confFile, program)
	if m.Mail != "" {
		observe.Files.Want(h, mailer)
	}
	observe.StaleInitramfs.Want(h, confFile)
}

// Plan implements modules.Module.
func (m *raid) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	if there, err := observe.Exists(ctx, h, program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install package mdadm first", h.Name(), program)
	}
	s := &state{raid: m, host: h}
	var err error
	if s.devices, err = observe.Disks.Observe(ctx, h, ""); err != nil {
		return modules.Plan{}, err
	}
	if s.arrays, err = arrays.Observe(ctx, h, ""); err != nil {
		return modules.Plan{}, err
	}
	if text, _, err := observe.Text(ctx, h, confFile); err == nil {
		s.listed = listedUUID(text, m.Name)
	} else if !observe.IsUnknown(err) { // the package that creates it is about to be installed
		return modules.Plan{}, err
	}
	plan, err := s.plan()
	if err != nil {
		return modules.Plan{}, err
	}
	conf, err := m.list(ctx, h, s.uuid)
	if err != nil {
		return modules.Plan{}, err
	}
	rebuilt, err := conffile.RebuildInitramfs(ctx, h, len(conf) > 0, confFile)
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Steps = slices.Concat(plan.Steps, conf, rebuilt)
	if m.Mail != "" {
		switch there, err := observe.Exists(ctx, h, mailer); {
		case observe.IsUnknown(err): // a package that is about to be installed may provide it
		case err != nil:
			return modules.Plan{}, err
		case !there:
			plan.Notes = append(plan.Notes, fmt.Sprintf("%s cannot be notified of a failed disk: %s has no %s, which mdadm needs to send mail; install a mail server, such as postfix", m.Mail, h.Name(), mailer))
		}
	}
	plan.Data = m.result(s)
	return plan, nil
}

// list plans to list the array in mdadm.conf. In check mode the package's file is not known, but it cannot list the array.
func (m *raid) list(ctx context.Context, h modules.Host, uuid string) ([]modules.Step, error) {
	summary := fmt.Sprintf("list %s in %s", device(m.Name), confFile)
	text, _, err := observe.Text(ctx, h, confFile)
	if observe.IsUnknown(err) {
		content := listed("", m.Name, uuid, m.Mail)
		return []modules.Step{{
			Summary: summary,
			Action:  modules.WriteFile{Path: confFile, Content: []byte(content)},
			Expect: observe.Placed(h, confFile, observe.File{
				Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content),
			}),
		}}, nil
	}
	if err != nil {
		return nil, err
	}
	after := conffile.EditLines(text, func(text string) string { return listed(text, m.Name, uuid, m.Mail) })
	return conffile.Write(ctx, h, confFile, after, summary)
}

func (m *raid) result(s *state) cty.Value {
	r := Result{Device: device(m.Name), UUID: s.uuid}
	if d, found, _ := s.find(); found { // otherwise the plan has reported an error
		r.Device = s.node
		if a, found := s.array(d.Name); found {
			r.Degraded, r.Sync = a.Degraded, a.Sync
		}
	}
	return modules.Data(r)
}
