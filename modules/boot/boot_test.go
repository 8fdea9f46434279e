package boot

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const (
	demandFile    = "/run/reboot-required"
	byGRUB        = "BOOT_IMAGE=/boot/vmlinuz-6.12.48 root=UUID=1 ro quiet"
	bySystemdBoot = `initrd=\EFI\proxmox\6.8.12-9-pve\initrd.img-6.8.12-9-pve root=ZFS=rpool/ROOT/pve-1 boot=zfs`
)

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

// host returns a host that was booted with the given command line, and that has the given files of the boot loader, by
// path.
func host(line string, files map[string]string, more ...observe.Expectation) modules.Host {
	directory := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	found := evidence{Line: line, Paths: []string{grubMenu}}
	known := []observe.Expectation{
		observe.CommandLines.Expect("", line),
		observe.RebootDemands.Expect("", observe.RebootDemand{}),
		observe.Files.Expect("/run", directory),
		observe.Files.Expect(demandFile, observe.File{}),
		observe.Files.Expect(demandFile+".pkgs", observe.File{}),
		observe.Files.Expect(cmdlineFile, observe.File{}),
		observe.Files.Expect(partitionsFile, observe.File{}),
	}
	var defaults []observe.TextFile
	for _, name := range []string{grubFile, grubDropIns + "a.cfg", grubDropIns + "b.cfg"} {
		if content, ok := files[name]; ok {
			defaults = append(defaults, observe.TextFile{Path: name, Content: content})
		}
	}
	for name, content := range files {
		known = append(known, observe.Files.Expect(name, text(content)))
		if name == partitionsFile {
			found.Paths = append(found.Paths, partitionsFile)
		}
	}
	known = append(known, loaders.Expect("", found), grubDefaults.Expect("", defaults),
		observe.Files.Expect("/etc/default", directory), observe.Files.Expect("/etc/default/grub.d", directory), observe.Files.Expect("/etc/kernel", directory))
	return observe.NewRecorded("pve1", append(known, more...)...)
}

func summaries(plan modules.Plan) []string {
	var all []string
	for _, s := range plan.Steps {
		all = append(all, s.Summary)
	}
	return all
}

func TestPlan(t *testing.T) {
	const (
		updateGRUB = "refresh the boot loader (update-grub)"
		refresh    = "refresh the boot loader (proxmox-boot-tool refresh)"
		announce   = "announce it in " + demandFile
		register   = "register that a reboot is required"
		inGRUB     = "pass intel_iommu=on iommu=pt to the kernel in " + grubFile
	)
	iommu := Module{Cmdline: []string{"intel_iommu=on", "iommu=pt"}}
	desired := map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on iommu=pt\"\n"}
	demanded := observe.RebootDemands.Expect("", observe.RebootDemand{Required: true, Packages: []string{demander}})
	for _, test := range []struct {
		name   string
		module Module
		host   modules.Host
		want   []string
		note   string
	}{
		{"GRUB", iommu, host(byGRUB, map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"}),
			[]string{inGRUB, updateGRUB, announce, register}, "without intel_iommu=on, without iommu=pt"},
		{"as desired", iommu, host(byGRUB+" intel_iommu=on iommu=pt", desired), nil, ""},
		{"a reboot is due", iommu, host(byGRUB, desired, demanded), nil, "without intel_iommu=on"},
		{"a run was interrupted before it refreshed", iommu, host(byGRUB, desired), []string{updateGRUB, announce, register}, "without intel_iommu=on"},
		{"set by hand in the boot menu", iommu, host(byGRUB+" intel_iommu=on iommu=pt", map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"}),
			[]string{inGRUB, updateGRUB}, ""},
		{"removed", Module{Remove: []string{"quiet"}}, host(byGRUB, desired),
			[]string{"no longer pass quiet in " + grubFile, updateGRUB, announce, register}, "with quiet"},
		{"systemd-boot", iommu, host(bySystemdBoot, map[string]string{partitionsFile: "8A1C-5E2F\n", cmdlineFile: "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n"}),
			[]string{"pass intel_iommu=on iommu=pt to the kernel in " + cmdlineFile, refresh, announce, register}, "without iommu=pt"},
		{"GRUB of proxmox-boot-tool", iommu, host(byGRUB, map[string]string{partitionsFile: "8A1C-5E2F\n", grubFile: ""}),
			[]string{inGRUB, refresh, announce, register}, "without iommu=pt"},
		{"a package demands a reboot already", iommu, host(byGRUB, map[string]string{grubFile: "", demandFile: "*** System restart required ***\n", demandFile + ".pkgs": "linux-image\n"},
			observe.RebootDemands.Expect("", observe.RebootDemand{Required: true, Packages: []string{"linux-image"}})),
			[]string{inGRUB, updateGRUB, register}, "without iommu=pt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, &test.module, test.host)
			if diff := cmp.Diff(test.want, summaries(plan)); diff != "" {
				t.Errorf("the steps differ (-want +got):\n%s", diff)
			}
			for _, step := range plan.Steps {
				if strings.HasPrefix(step.Summary, "refresh") && plan.RiskOf(step) != modules.CostsQuorum {
					t.Errorf("%s is of class %s, and a node may not come up again with it", step.Summary, plan.RiskOf(step))
				}
			}
			if notes := strings.Join(plan.Notes, "\n"); test.note == "" && notes != "" || !strings.Contains(notes, test.note) {
				t.Errorf("the notes are %q, expected %q", notes, test.note)
			}
		})
	}
}

// Existing parameters are kept, whichever file or variable they are in.
func TestGRUBFiles(t *testing.T) {
	wanted := Module{Cmdline: []string{"intel_iommu=on", "console=tty0", "console=ttyS0,115200"}, Remove: []string{"splash"}}
	const added = ` intel_iommu=on console=tty0 console=ttyS0,115200"`
	for _, test := range []struct {
		name          string
		before, after map[string]string
	}{
		{"comments and order", map[string]string{grubFile: "# mine\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT='quiet splash' # why\nGRUB_CMDLINE_LINUX=\"\"\n"},
			map[string]string{grubFile: "# mine\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet" + added + " # why\nGRUB_CMDLINE_LINUX=\"\"\n"}},
		{"another value of the same name", map[string]string{grubFile: "GRUB_CMDLINE_LINUX=\"intel-iommu=off net.ifnames=0\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"console=ttyS1 quiet\"\n"},
			map[string]string{grubFile: "GRUB_CMDLINE_LINUX=\"net.ifnames=0\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet" + added + "\n"}},
		{"a drop-in that overrides", map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash\"\n", grubDropIns + "a.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"nomodeset\"\n"},
			map[string]string{grubDropIns + "a.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"nomodeset" + added + "\n"}},
		{"a drop-in that extends", map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash\"\n", grubDropIns + "a.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT nomodeset\"\n"},
			map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n", grubDropIns + "a.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT nomodeset" + added + "\n"}},
		{"a quoted value stays", map[string]string{grubFile: `GRUB_CMDLINE_LINUX_DEFAULT="dyndbg=\"file a.c +p\" $EXTRA"` + "\n"},
			map[string]string{grubFile: `GRUB_CMDLINE_LINUX_DEFAULT="dyndbg=\"file a.c +p\" $EXTRA` + added + "\n"}},
		{"none yet", map[string]string{grubFile: "GRUB_TIMEOUT=5"}, map[string]string{grubFile: "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"" + strings.TrimSpace(added) + "\n"}},
		{"not even the file", map[string]string{}, map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"" + strings.TrimSpace(added) + "\n"}},
		{"as desired, in two places", map[string]string{grubFile: "GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"\n"}, map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var files []observe.Expectation
			if _, ok := test.before[grubFile]; !ok {
				files = append(files, observe.Files.Expect(grubFile, observe.File{}))
			}
			plan := modulestest.Converges(t, &wanted, host(byGRUB, test.before, files...))
			got := map[string]string{}
			for _, s := range plan.Steps {
				if w, ok := s.Action.(modules.WriteFile); ok && !strings.HasPrefix(w.Path, "/run/") {
					got[w.Path] = string(w.Content)
					if w.Was != test.before[w.Path] {
						t.Errorf("%s replaces %q, expected what the plan was made from", w.Path, w.Was)
					}
				}
			}
			if diff := cmp.Diff(test.after, got); diff != "" {
				t.Errorf("the files differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSystemdBootLine(t *testing.T) {
	m := &Module{Cmdline: []string{"intel_iommu=on"}, Remove: []string{"quiet"}}
	plan := modulestest.Converges(t, m, host(bySystemdBoot, map[string]string{partitionsFile: "x\n", cmdlineFile: "root=ZFS=rpool/ROOT/pve-1 quiet boot=zfs intel_iommu=off\n"}))
	const want = "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on\n"
	if got := string(plan.Steps[0].Action.(modules.WriteFile).Content); got != want {
		t.Errorf("the command line is %q, expected %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	defaults := func(content string) map[string]string { return map[string]string{grubFile: content} }
	for _, test := range []struct {
		name string
		host modules.Host
		want string
	}{
		{"booted by QEMU", host("console=ttyS0 root=/dev/vda", defaults("")), "cannot tell which boot loader"},
		{"a container", host(byGRUB, defaults(""), loaders.Expect("", evidence{Line: byGRUB})), "has no /boot/grub/grub.cfg"},
		{"the EFI stub", host(`initrd=\EFI\debian\initrd.img root=/dev/sda2`, defaults("")), "not by systemd-boot with entries maintained by kernel-install"},
		{"another loader of EFI", host(byKernelInstall, nil, loaders.Expect("", evidence{byKernelInstall, []string{kernelInstall}})), "expected /usr/bin/kernel-install, and systemd-boot as the loader's name"},
		{"an EFI partition that is not mounted", kernelInstallHost(nil, map[string]entry{}), "check that the EFI partition is mounted"},
		{"a command line for kernel-install without a root", kernelInstallHost(map[string]string{cmdlineFile: "quiet\n"}, map[string]entry{}), "as read by kernel-install"},
		{"proxmox-boot-tool, started by hand", host("root=ZFS=rpool", map[string]string{partitionsFile: "x"}), "reboot through the regular boot menu first"},
		{"no command line", host(bySystemdBoot, map[string]string{partitionsFile: "x"}), "has no root=…"},
		{"a command line without a root", host(bySystemdBoot, map[string]string{partitionsFile: "x", cmdlineFile: "quiet\n"}), "has no root=…"},
		{"two lines", host(bySystemdBoot, map[string]string{partitionsFile: "x", cmdlineFile: "root=ZFS=a\nquiet\n"}), "several lines"},
		{"a condition", host(byGRUB, defaults("if true; then\nGRUB_CMDLINE_LINUX_DEFAULT=quiet\nfi\n")), grubFile + ":2: "},
		{"a command", host(byGRUB, defaults("GRUB_CMDLINE_LINUX=\"$(cat /x)\"\n")), grubFile + ":1: "},
		{"an addition that no POSIX shell knows", host(byGRUB, defaults("GRUB_CMDLINE_LINUX+=\" quiet\"\n")), grubFile + ":1: "},
		{"an export", host(byGRUB, defaults("export GRUB_CMDLINE_LINUX=quiet\n")), grubFile + ":1: "},
		{"for init in GRUB's files", host(byGRUB, defaults("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet -- single\"\n")), "the kernel would not take iommu=pt behind it"},
		{"for init in the command line", host(bySystemdBoot, map[string]string{partitionsFile: "x", cmdlineFile: "root=ZFS=a -- 3\n"}), "write it before the -- by hand"},
		{"no script", host(byGRUB, defaults("GRUB_CMDLINE_LINUX=\"quiet\n")), "correct it by hand"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := (&Module{Cmdline: []string{"iommu=pt"}}).Plan(t.Context(), test.host)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "pve1") {
				t.Errorf("expected an error of pve1 that says %q, got %v", test.want, err)
			}
		})
	}
}

// After a predicted reboot, the kernel's command line is unknown.
func TestAfterAReboot(t *testing.T) {
	h := host(byGRUB, map[string]string{grubFile: "GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"\n"},
		observe.CommandLines.Unknown("", "a reboot"), observe.RebootDemands.Unknown("", "a package may demand one"))
	if _, err := (&Module{Cmdline: []string{"iommu=pt"}}).Plan(t.Context(), h); !observe.IsUnknown(err) {
		t.Errorf("expected the plan to be uncertain, got %v", err)
	}
	modulestest.Converges(t, &Module{Cmdline: []string{"intel_iommu=on"}}, h)
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		argument string
		module   Module
	}{
		{"cmdline", Module{}},
		{"cmdline", Module{Cmdline: []string{"intel_iommu=on iommu=pt"}}},
		{"cmdline", Module{Cmdline: []string{`dyndbg="x"`}}},
		{"cmdline", Module{Cmdline: []string{"a=1", "--"}}},
		{"cmdline", Module{Cmdline: []string{"a=$(reboot)"}}},
		{"cmdline", Module{Cmdline: []string{"a=\xca"}}},
		{"cmdline", Module{Cmdline: []string{"root=/dev/sda"}}},
		{"remove", Module{Remove: []string{"root"}}},
		{"remove", Module{Remove: []string{"iommu=pt"}}},
		{"remove", Module{Cmdline: []string{"intel_iommu=on"}, Remove: []string{"intel-iommu"}}},
	} {
		var fault *modules.ArgumentError
		if err := test.module.Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.module, err, test.argument)
		}
	}
}

// FuzzGRUB checks that parameters which are edited into the files are found there, and that nothing else on the line is
// lost.
func FuzzGRUB(f *testing.F) {
	f.Add("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet a=\\\"b c\\\"\"\nGRUB_CMDLINE_LINUX='x'\n", "iommu=pt")
	f.Add("GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT ${X}\"", "quiet")
	f.Add("GRUB_TIMEOUT=5\nGRUB_DEVICE=x\\", "iommu=pt") // a backslash continues the last line
	f.Add("GRUB_CMDLINE_LINUX=\"quiet iommu=on\"", "iommu=pt")
	f.Fuzz(func(t *testing.T, content, parameter string) {
		m := &Module{Cmdline: []string{parameter}}
		if m.Validate() != nil {
			return
		}
		before, err := parseGRUB([]observe.TextFile{{Path: grubFile, Content: content}})
		if err != nil {
			return
		}
		kept := before.parameters()
		leave, added := m.differences(kept)
		before.edit(leave, added)
		files := before.changes()
		if len(files) == 0 {
			files = []observe.TextFile{{Path: grubFile, Content: content}}
		}
		after, err := parseGRUB(files)
		if err != nil {
			t.Fatalf("%q became %q, which cannot be read: %v", content, files[0].Content, err)
		}
		line := after.parameters()
		if leave, added := m.differences(line); len(leave)+len(added) > 0 {
			t.Errorf("%q became %q, which still lacks %q", content, files[0].Content, parameter)
		}
		for _, p := range kept {
			if nameOf(p) != nameOf(parameter) && len(named(line, nameOf(p))) != len(named(kept, nameOf(p))) {
				t.Errorf("%q became %q: %q is lost", content, files[0].Content, p)
			}
		}
	})
}
