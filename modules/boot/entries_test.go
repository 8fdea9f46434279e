package boot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const (
	machineID       = "0123456789abcdef0123456789abcdef"
	byKernelInstall = `initrd=\` + machineID + `\6.12.48+deb13-amd64\initrd.img-6.12.48+deb13-amd64 root=UUID=1 ro quiet systemd.machine_id=` + machineID
	older, newer    = "6.12.43+deb13-amd64", "6.12.48+deb13-amd64"
)

// kernelInstallHost returns a host with systemd-boot from Debian's package, two kernels, and the given entries.
func kernelInstallHost(files map[string]string, found map[string]entry) modules.Host {
	return host(byKernelInstall, files, loaders.Expect("", evidence{byKernelInstall, []string{kernelInstall, loaderInfo}}),
		entries.Expect("", found), observe.InstalledKernels.Expect("", []string{older, newer}),
		observe.Files.Expect(vendorCmdlineFile, written(files[vendorCmdlineFile])), observe.Files.Expect(cmdlineFile, written(files[cmdlineFile])))
}

func written(content string) observe.File {
	if content == "" {
		return observe.File{}
	}
	return text(content)
}

func TestKernelInstall(t *testing.T) {
	const withID = " systemd.machine_id=" + machineID
	both := map[string]entry{older: {"root=UUID=1 ro quiet" + withID, machineID}, newer: {"root=UUID=1 ro quiet" + withID, machineID}}
	write := func(release string) string {
		return "write the boot entry of kernel " + release + " (kernel-install add)"
	}
	const inFile, announce, register = "pass iommu=pt to the kernel in " + cmdlineFile, "announce it in " + demandFile, "register that a reboot is required"
	m := &Module{Cmdline: []string{"iommu=pt"}}
	for _, test := range []struct {
		name    string
		files   map[string]string
		found   map[string]entry
		want    []string
		content string
		options string // of the newer kernel
	}{
		{"nobody wrote a command line", nil, both, []string{inFile, write(older), write(newer), announce, register}, "root=UUID=1 ro quiet iommu=pt\n", "root=UUID=1 ro quiet iommu=pt" + withID},
		{"the vendor's", map[string]string{vendorCmdlineFile: "root=LABEL=system ro\n"}, both, []string{inFile, write(older), write(newer), announce, register}, "root=LABEL=system ro iommu=pt\n", "root=LABEL=system ro iommu=pt" + withID},
		{"a person's, in two lines", map[string]string{cmdlineFile: "root=UUID=1\nquiet iommu=off\n"}, both, []string{inFile, write(older), write(newer), announce, register}, "root=UUID=1 quiet iommu=pt\n", "root=UUID=1 quiet iommu=pt" + withID},
		{"a run was interrupted between two kernels", map[string]string{cmdlineFile: "root=UUID=1 iommu=pt\n"},
			map[string]entry{older: {"root=UUID=1 iommu=pt" + withID, machineID}, newer: both[newer]}, []string{write(newer), announce, register}, "", "root=UUID=1 iommu=pt" + withID},
		{"entries that are not named after the machine id", map[string]string{cmdlineFile: "root=UUID=1 iommu=pt\n"},
			map[string]entry{newer: {"root=UUID=1", ""}}, []string{write(newer), announce, register}, "", "root=UUID=1 iommu=pt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, m, kernelInstallHost(test.files, test.found))
			if diff := cmp.Diff(test.want, summaries(plan)); diff != "" {
				t.Errorf("the steps differ (-want +got):\n%s", diff)
			}
			for _, step := range plan.Steps {
				if w, ok := step.Action.(modules.WriteFile); ok && w.Path == cmdlineFile && string(w.Content) != test.content {
					t.Errorf("%s becomes %q, expected %q", cmdlineFile, w.Content, test.content)
				}
				if step.Summary != write(newer) {
					continue
				}
				if plan.RiskOf(step) != modules.CostsQuorum {
					t.Errorf("it is of class %s, and a node may not come up again with it", plan.RiskOf(step))
				}
				if got := step.Expect[0].Value.(map[string]entry)[newer].Options; got != test.options {
					t.Errorf("the entry is expected to pass %q, expected %q", got, test.options)
				}
				if got := strings.Join(step.Action.(modules.Run).Argv, " "); got != "kernel-install add "+newer+" /boot/vmlinuz-"+newer {
					t.Errorf("the command is %q", got)
				}
			}
		})
	}
}

func TestParseEntries(t *testing.T) {
	got := modulestest.Parsed(t, entries, []string{""}, remote.Answer{Stdout: []byte("/boot/efi/loader/entries/x-" + newer + ".conf:version    " + newer + "\n" +
		"/boot/efi/loader/entries/x-" + newer + ".conf:machine-id " + machineID + "\n" +
		"/boot/efi/loader/entries/x-" + newer + ".conf:options    root=UUID=1\n/boot/efi/loader/entries/x-" + newer + ".conf:options\tquiet\n" +
		"/boot/efi/loader/entries/memtest.conf:options x\n")})[""]
	if diff := cmp.Diff(map[string]entry{newer: {"root=UUID=1 quiet", machineID}}, got); diff != "" {
		t.Errorf("the entries differ (-want +got):\n%s", diff)
	}
	entries.Parse([]string{""}, []remote.Answer{{Exit: 2, Stderr: []byte("grep: /boot/efi/loader/entries/x.conf: Permission denied\n")}}, func(_ string, _ map[string]entry, err error) {
		if err == nil || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("entries that cannot be read: %v", err)
		}
	})
}

func FuzzParseEntries(f *testing.F) {
	f.Add("/efi/loader/entries/a.conf:version 6.1\n/efi/loader/entries/a.conf:options x\n")
	f.Add("x")
	f.Fuzz(func(t *testing.T, out string) {
		_, _ = parseEntries(remote.Answer{Stdout: []byte(out)})
	})
}
