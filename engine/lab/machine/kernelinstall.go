package machine

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	kernelInstallProgram = "/usr/bin/kernel-install"
	// espRoot is where Debian mounts the EFI system partition.
	espRoot = "/boot/efi"
	// loaderInfoVariable is the EFI variable with systemd-boot's name: attributes, then UTF-16.
	loaderInfoVariable = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
)

// furnishKernelInstall adds systemd-boot as Debian's package of that name installs it: entries are named after the
// machine ID, and there is no /etc/kernel/cmdline.
func (m *Machine) furnishKernelInstall() {
	m.tree.mkdirAll("/sys/firmware/efi/efivars", 0o755)
	name := "systemd-boot 252.39-1~deb12u2"
	m.tree.file(loaderInfoVariable, 0o644, "\x06\x00\x00\x00"+strings.Join(strings.Split(name, ""), "\x00")+"\x00\x00\x00")
	m.tree.file(espRoot+"/loader/entries.srel", 0o644, "type1\n")
	m.tree.mkdirAll(espRoot+"/loader/entries", 0o755)
	m.tree.file(kernelInstallProgram, 0o755, "#!/bin/sh\n")
	m.installed[kernelInstallProgram] = kernelInstall
	m.tree.mkdirAll("/etc/kernel", 0o755)
}

// entryPath returns the path of a kernel's entry.
func (m *Machine) entryPath(release string) string {
	return espRoot + "/loader/entries/" + m.machineID() + "-" + release + ".conf"
}

func (m *Machine) machineID() string { return strings.Join(m.lines("/etc/machine-id"), "") }

// entryCommandLine returns what systemd-boot passes to a kernel: the image in the entry, and the options. A real kernel
// package has kernel-install write the entry; here it is written at the first boot.
func (m *Machine) entryCommandLine(release string) string {
	if _, err := m.FS().Stat(m.entryPath(release)); err != nil {
		m.tree.file(m.entryPath(release), 0o644, m.entryText(release))
	}
	options := ""
	for _, line := range m.lines(m.entryPath(release)) {
		if rest, ok := strings.CutPrefix(line, "options "); ok {
			options = strings.TrimSpace(rest)
		}
	}
	return `initrd=\` + m.machineID() + `\` + release + `\initrd.img-` + release + " " + options
}

// entryText returns the entry that 90-loaderentry.install writes.
func (m *Machine) entryText(release string) string {
	id := m.machineID()
	options := strings.Join(strings.Fields(strings.Join(m.lines(kernelCmdline), " ")), " ")
	if options == "" {
		m.mu.Lock()
		running := m.cmdline
		m.mu.Unlock()
		if running == "" {
			running = "root=UUID=" + m.rootUUID() + " " + defaultArguments
		}
		var kept []string
		for _, p := range strings.Fields(running) {
			if !strings.HasPrefix(p, "initrd=") && !strings.HasPrefix(p, "BOOT_IMAGE=") {
				kept = append(kept, p)
			}
		}
		options = strings.Join(kept, " ")
	}
	if !strings.Contains(options, "systemd.machine_id=") {
		options += " systemd.machine_id=" + id
	}
	return fmt.Sprintf("title      Debian GNU/Linux\nversion    %s\nmachine-id %s\nsort-key   debian\noptions    %s\nlinux      /%s/%s/linux\ninitrd     /%s/%s/initrd.img-%s\n",
		release, id, options, id, release, id, release, release)
}

// kernelInstall implements the command add of kernel-install(8).
func kernelInstall(_ context.Context, c *Call) int {
	if len(c.Argv) > 1 && c.Argv[1] != "add" {
		return c.Errorf("%s: not supported on simulated nodes: add", c.Argv[1])
	}
	if len(c.Argv) < 3 {
		fmt.Fprintln(c.Stderr, "Error: not enough arguments")
		return 1
	}
	if len(c.Argv) < 4 {
		fmt.Fprintln(c.Stderr, "Error: command 'add' requires a kernel image")
		return 1
	}
	if _, err := c.view().Stat(c.Argv[3]); err != nil {
		fmt.Fprintf(c.Stderr, "Error: kernel image argument %s not a file\n", c.Argv[3])
		return 1
	}
	if !c.Spend(time.Second) {
		return 130
	}
	entry := c.Machine.entryPath(c.Argv[2])
	if err := writeFile(c.view(), entry, c.Machine.entryText(c.Argv[2]), 0o644); err != nil {
		fmt.Fprintf(c.Stderr, "Error: could not create loader entry '%s'.\n", entry)
		return 1
	}
	return 0
}
