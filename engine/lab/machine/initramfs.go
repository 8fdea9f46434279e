package machine

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/afero"
)

func updateInitramfs(_ context.Context, c *Call) int {
	o, ok := c.options("ucdk:v")
	if !ok {
		return 2
	}
	if c.User != "root" {
		return c.Errorf("You must be root.")
	}
	releases := []string{o.value("k")}
	if releases[0] == "all" || releases[0] == "" {
		all := releases[0] == "all"
		releases = nil
		entries, err := afero.ReadDir(c.view(), "/boot")
		if err != nil {
			return c.Errorf("cannot read /boot: %s", errText(err))
		}
		for _, e := range entries {
			if release, ok := strings.CutPrefix(e.Name(), "vmlinuz-"); ok {
				releases = append(releases, release)
			}
		}
		if !all && len(releases) > 0 {
			releases = releases[len(releases)-1:]
		}
	}
	for _, release := range releases {
		if _, err := c.view().Stat("/boot/vmlinuz-" + release); err != nil {
			return c.Errorf("%s: no such kernel", release)
		}
		if !c.Spend(8 * time.Second) {
			return 130
		}
		c.printf("update-initramfs: Generating /boot/initrd.img-%s\n", release)
		if err := writeFile(c.view(), "/boot/initrd.img-"+release, "initrd "+release+" "+c.Machine.clock.Now().String()+"\n"+c.Machine.modprobeConfig(), 0o644); err != nil {
			return c.Errorf("failed for /boot/initrd.img-%s: %s", release, errText(err))
		}
		if c.Machine.loader == KernelInstall { // /etc/initramfs/post-update.d/systemd-boot
			c.printf("Updating kernel version %s in systemd-boot...\n", release)
			if code := c.Run(kernelInstallProgram, "add", release, "/boot/vmlinuz-"+release); code != 0 {
				return code
			}
		}
	}
	return 0
}

// initramfsConfig returns modprobe's configuration in the initramfs of the running kernel, by keyword, module and word.
func (m *Machine) initramfsConfig() map[string]map[string]map[string]string {
	config := map[string]map[string]map[string]string{}
	for _, line := range m.lines("/boot/initrd.img-" + m.kernel) {
		f := strings.Fields(line)
		if len(f) < 2 || !slices.Contains([]string{"options", "softdep", "blacklist"}, f[0]) {
			continue
		}
		if config[f[0]] == nil {
			config[f[0]] = map[string]map[string]string{}
		}
		words := map[string]string{}
		for _, word := range f[2:] {
			key, value, _ := strings.Cut(word, "=")
			words[key] = cmp.Or(value, word)
		}
		config[f[0]][moduleName(f[1])] = words
	}
	return config
}

// modprobeConfig returns the lines of modprobe.d that update-initramfs puts into its images.
func (m *Machine) modprobeConfig() string {
	var b strings.Builder
	for _, file := range m.configFiles("/etc/modprobe.d", "/usr/lib/modprobe.d") {
		if content, err := afero.ReadFile(m.FS(), file); err == nil {
			b.Write(content)
		}
	}
	return b.String()
}
