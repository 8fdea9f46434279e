package machine

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// Programs of the packages that every Debian host has (coreutils, util-linux, e2fsprogs, mawk, …) and that the lab does
// not simulate. If they were missing, a correct playbook would fail because a program was not found.
const (
	unsimulatedBin = `
	arch awk b2sum base32 basenc busctl chage chattr chcon chfn choom chrt chsh cksum comm csplit diff diff3 dir
	dircolors dnsdomainname domainname du expand expiry expr factor fallocate flock fmt fold getopt gpasswd gunzip
	hardlink hostid ipcmk ipcrm ipcs ischroot join last lastb link localectl login loginctl logname lsattr lscpu lsipc
	lslocks lslogins lsmem lsmod lsns mawk mesg mkfifo mknod more namei networkctl nl nsenter nstat numfmt od openssl
	passwd paste pathchk perl pidof pinky pmap pr printenv prlimit ptx rdma renice reset rev rgrep run-parts runcon
	sdiff setarch setpriv sg sha224sum sha384sum shred shuf split stty sum systemd-cat systemd-cgls systemd-cgtop
	systemd-delta systemd-detect-virt systemd-escape systemd-machine-id-setup systemd-mount systemd-notify systemd-path
	systemd-sysusers systemd-umount tac taskset top truncate tsort tty unexpand unlink unshare users vdir vmstat wall
	watch whereis who yes zcat zgrep zless zmore`
	unsimulatedSbin = `
	add-shell addgroup adduser badblocks blkdiscard blkzone blockdev bridge chroot debugfs delgroup deluser dumpe2fs
	e2freefrag e2fsck e2image e2label e2mmpstatus e2scrub e2scrub_all e2undo filefrag findfs fsck fsck.ext2 fsck.ext3
	fsck.ext4 fsfreeze fstrim groupmems groupmod grpck grpconv grpunconv isosize losetup lsmod mke2fs mkfs mkfs.ext2
	mkfs.ext3 mkswap pwck pwconv pwunconv remove-shell resize2fs service swaplabel swapoff swapon tc tipc tune2fs
	update-shells vigr vipw zramctl`
)

func unsimulatedPrograms() map[string]Program {
	all := map[string]Program{}
	for name := range strings.FieldsSeq(unsimulatedBin) {
		all[name] = unsupported
	}
	for name := range strings.FieldsSeq(unsimulatedSbin) {
		all["/usr/sbin/"+name] = unsupported
	}
	return all
}

// notSimulated prints that the lab does not implement an option, although the real program may.
func notSimulated(c *Call, what string) int {
	fmt.Fprintf(c.Stderr, "%s: not supported on simulated nodes: %s\n", path.Base(c.Argv[0]), what)
	return 2
}

// unsupported stands for a program that real hosts have but the lab does not simulate.
func unsupported(_ context.Context, c *Call) int { return notSimulated(c, "this program") }
