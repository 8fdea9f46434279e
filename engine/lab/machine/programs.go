package machine

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"maps"
)

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
		"/usr/sbin/sysctl": sysctl, "/usr/sbin/modprobe": modprobe, "uname": uname, "free": memoryProgram,
		"/usr/sbin/depmod": accept("depmod", ""), "/usr/sbin/update-initramfs": updateInitramfs, "/usr/sbin/update-grub": updateGrub,
		"locale": locale, "/usr/sbin/locale-gen": localeGen,
		"nproc": nproc, "/usr/sbin/reboot": rebootProgram, "/usr/sbin/poweroff": rebootProgram, "/usr/sbin/halt": rebootProgram, "/usr/sbin/shutdown": rebootProgram,
		"uptime": uptime, "/usr/sbin/grub-mkconfig": updateGrub, "dmesg": dmesg, "lspci": lspci,
	}
}

func coreutils() map[string]Program {
	return map[string]Program{
		"cat": cat, "head": head, "tail": tail, "stat": statProgram, "readlink": readlink, "realpath": readlink, "ls": ls,
		"mkdir": mkdir, "rmdir": rmdir, "rm": rm, "mv": mv, "cp": cp, "ln": ln, "chmod": chmod, "chown": chown, "chgrp": chown,
		"install": installProgram, "touch": touch, "mktemp": mktemp, "sync": syncProgram, "dd": dd, "base64": base64Program, "gzip": gzipProgram,
		"md5sum": checksum(md5.New), "sha1sum": checksum(sha1.New), "sha256sum": checksum(sha256.New), "sha512sum": checksum(sha512.New),
		"tee": tee, "true": func(context.Context, *Call) int { return 0 }, "false": func(context.Context, *Call) int { return 1 },
		"basename": basename, "dirname": dirname, "pwd": pwd, "echo": echoProgram, "which": which, "test": testProgram, "[": testProgram,
		"printf": printfProgram, "cmp": cmpProgram, "find": find,
	}
}

func textPrograms() map[string]Program {
	return map[string]Program{
		"grep": grep, "egrep": grep, "fgrep": grep, "cut": cut, "tr": tr, "wc": wc, "sort": sortProgram, "uniq": uniq,
		"sed": sed, "seq": seq,
	}
}

func processPrograms() map[string]Program {
	shells := map[string]Program{"dash": shProgram, "bash": shProgram, "timeout": timeout, "env": env, "nohup": transparent, "setsid": setsid, "nice": transparent,
		"ionice": transparent, "stdbuf": transparent, "xargs": xargs, "sudo": sudo, "sleep": sleep, "kill": func(_ context.Context, c *Call) int { return kill(c) },
		"pkill": pkill, "pgrep": pkill, "ps": ps, "date": date, "logger": logger, "su": su, "/usr/sbin/runuser": su, "id": id, "whoami": whoami,
		"hostname": hostname, "true": func(context.Context, *Call) int { return 0 }, "mountpoint": mountpoint, "mount": mountProgram, "umount": umountProgram, "df": df}
	return shells
}

func systemdPrograms() map[string]Program {
	return map[string]Program{"systemctl": systemctl, "systemd-run": systemdRun, "journalctl": journalctl, "timedatectl": timedatectl, "hostnamectl": hostnamectl,
		"systemd-tmpfiles": accept("", ""), "/usr/sbin/update-rc.d": accept("", ""), "systemd-analyze": systemdAnalyze}
}

func userPrograms() map[string]Program {
	return map[string]Program{"getent": getent, "/usr/sbin/useradd": useradd, "/usr/sbin/usermod": usermod, "/usr/sbin/userdel": userdel, "/usr/sbin/groupadd": groupadd,
		"/usr/sbin/groupdel": groupdel, "/usr/sbin/chpasswd": chpasswd, "groups": groupsProgram, "/usr/sbin/visudo": accept("", "")}
}

func packagePrograms() map[string]Program {
	return map[string]Program{"dpkg": dpkg, "dpkg-query": dpkgQuery, "apt-get": aptGet, "apt": aptGet, "apt-cache": aptCache, "apt-mark": aptMark,
		"/usr/lib/apt/apt-helper": aptHelper, "debconf-set-selections": debconfSet, "debconf-show": debconfShow, "debconf-communicate": accept("", ""),
		"/usr/sbin/dpkg-reconfigure": accept("", ""), "update-alternatives": updateAlternatives}
}

func networkPrograms() map[string]Program {
	return map[string]Program{"ip": ipProgram, "/usr/sbin/ip": ipProgram, "ping": ping, "ss": ss, "curl": curl, "wget": wget, "tar": tar, "/usr/sbin/ifreload": ifreload,
		"/usr/sbin/ifup": accept("", "")}
}

func diskPrograms() map[string]Program {
	return map[string]Program{"lsblk": lsblk, "/usr/sbin/blkid": blkid, "/usr/sbin/wipefs": wipefs, "udevadm": accept("", ""), "/usr/sbin/partprobe": accept("", ""),
		"/usr/sbin/sfdisk": sfdisk, "partx": partx, "findmnt": findmnt, "/usr/sbin/mkfs.ext4": mkfs("ext4")}
}

func sshPrograms() map[string]Program {
	return map[string]Program{"ssh-keygen": sshKeygen, "/usr/sbin/sshd": sshdProgram,
		"ssh": unsupported, "scp": unsupported, "sftp": unsupported, "ssh-keyscan": unsupported, "ssh-copy-id": unsupported}
}
