package machine

import "maps"

// programs are the programs of a fresh Debian installation, by path. The map is filled by init because some programs
// look up others.
var programs = map[string]Program{}

func init() {
	for _, set := range []map[string]Program{unsimulatedPrograms(), coreutils(), textPrograms(), processPrograms(), systemdPrograms(), kernelPrograms(),
		userPrograms(), packagePrograms(), networkPrograms(), diskPrograms(), sshPrograms()} {
		for name, program := range maps.All(set) {
			programs[programPath(name)] = program
		}
	}
}

func kernelPrograms() map[string]Program {
	return map[string]Program{
		"/usr/sbin/sysctl": sysctl, "/usr/sbin/modprobe": modprobe, "lsmod": lsmod, "/usr/sbin/lsmod": lsmod, "uname": uname, "free": memoryProgram,
		"/usr/sbin/depmod": accept("depmod", ""), "/usr/sbin/update-initramfs": updateInitramfs, "/usr/sbin/update-grub": updateGrub,
		"locale": locale, "/usr/sbin/locale-gen": localeGen,
		"nproc": nproc, "lscpu": lscpu, "/usr/sbin/reboot": rebootProgram, "/usr/sbin/poweroff": rebootProgram, "/usr/sbin/halt": rebootProgram, "/usr/sbin/shutdown": rebootProgram,
		"uptime": uptime, "/usr/sbin/grub-mkconfig": updateGrub, "dmesg": dmesg, "lspci": lspci,
	}
}
