# One hundred tasks of preparing a node, and four handlers: what hlplay, Ansible and Mitogen are measured with
# (docs/performance.md). testdata/peers/site.yml does the same work, task for task, with Ansible's modules.
#
# As there, a task is one call of a module, without loops: one play for a real cluster would say most of this
# in a tenth of the lines. Kernel modules and the initramfs get their files only.
#
#   hlplay run playbooks/bench/node.hcl -i playbooks/bench/hosts.hcl

variable "cluster_name" {
  type    = string
  default = "bench"
}
variable "bond_ports" {
  type    = list(string)
  default = ["eno1", "enp1s0"]
}
variable "bridge" {
  type    = string
  default = "vmbr0"
}
variable "mtu" {
  type    = number
  default = 9000
}
variable "fsid" {
  type    = string
  default = "8d5c1e0e-6a0d-4a52-9a39-6f4c2a7d10b3"
}
variable "pool_size" {
  type    = number
  default = 3
}
variable "pool_min_size" {
  type    = number
  default = 2
}

play "prepare nodes" {
  hosts = "pve"

  task "name of pve1" {
    file {
      path = "/etc/hosts"
      line {
        regexp = "\\spve1$"
        line   = "${hosts.pve1.address} pve1.lab.example pve1"
      }
    }
  }

  task "name of pve2" {
    file {
      path = "/etc/hosts"
      line {
        regexp = "\\spve2$"
        line   = "${hosts.pve2.address} pve2.lab.example pve2"
      }
    }
  }

  task "name of pve3" {
    file {
      path = "/etc/hosts"
      line {
        regexp = "\\spve3$"
        line   = "${hosts.pve3.address} pve3.lab.example pve3"
      }
    }
  }

  task "bond" {
    file {
      path    = "/etc/network/interfaces.d/bond0"
      content = templatefile("templates/bond0.tmpl", { name = host.name, ports = var.bond_ports, mtu = var.mtu })
      mode    = "0644"
    }
  }

  task "bridge" {
    file {
      path    = "/etc/network/interfaces.d/vmbr0"
      content = templatefile("templates/vmbr0.tmpl", { bridge = var.bridge, address = host.address, mtu = var.mtu })
      mode    = "0644"
    }
  }

  task "ring" {
    file {
      path    = "/etc/network/interfaces.d/ring"
      content = templatefile("templates/ring.tmpl", { address = host.vars.ring, mtu = var.mtu })
      mode    = "0644"
    }
  }

  task "directory of keys" {
    file {
      path  = "/etc/apt/keyrings"
      state = "directory"
      mode  = "0755"
    }
  }

  task "key of the release" {
    file {
      path    = "/etc/apt/keyrings/release.asc"
      content = file("files/release.asc")
      mode    = "0644"
    }
  }

  task "source of the hypervisor" {
    file {
      path    = "/etc/apt/sources.list.d/hypervisor.list"
      content = file("files/hypervisor.list")
      mode    = "0644"
    }
  }

  task "source of the storage" {
    file {
      path    = "/etc/apt/sources.list.d/storage.list"
      content = file("files/storage.list")
      mode    = "0644"
    }
  }

  task "no enterprise source" {
    file {
      path  = "/etc/apt/sources.list.d/enterprise.list"
      state = "absent"
    }
  }

  task "pinned packages" {
    file {
      path    = "/etc/apt/preferences.d/node"
      content = file("files/apt-preferences")
      mode    = "0644"
    }
  }

  task "settings of apt" {
    file {
      path    = "/etc/apt/apt.conf.d/99node"
      content = file("files/apt-99node")
      mode    = "0644"
    }
  }

  task "sshd settings" {
    file {
      path    = "/etc/ssh/sshd_config.d/50-node.conf"
      content = templatefile("templates/sshd.conf.tmpl", { alive = 60 })
      mode    = "0600"
    }
    notify = ["sshd reads its settings"]
  }

  task "sshd without empty passwords" {
    file {
      path = "/etc/ssh/sshd_config"
      line {
        regexp = "^#?PermitEmptyPasswords"
        line   = "PermitEmptyPasswords no"
      }
    }
    notify = ["sshd reads its settings"]
  }

  task "sshd without DNS" {
    file {
      path = "/etc/ssh/sshd_config"
      line {
        regexp = "^#?UseDNS"
        line   = "UseDNS no"
      }
    }
    notify = ["sshd reads its settings"]
  }

  task "sudo for operators" {
    file {
      path     = "/etc/sudoers.d/10-operators"
      content  = file("files/sudoers")
      mode     = "0440"
      validate = ["visudo", "-cf", "-"]
    }
  }

  task "limits" {
    file {
      path    = "/etc/security/limits.d/90-storage.conf"
      content = file("files/limits.conf")
      mode    = "0644"
    }
  }

  task "rules for disks" {
    file {
      path    = "/etc/udev/rules.d/60-scheduler.rules"
      content = file("files/60-scheduler.rules")
      mode    = "0644"
    }
  }

  task "rules for ports" {
    file {
      path    = "/etc/udev/rules.d/71-ports.rules"
      content = templatefile("templates/71-ports.rules.tmpl", { ports = var.bond_ports })
      mode    = "0644"
    }
  }

  task "aliases" {
    file {
      path    = "/etc/profile.d/node-aliases.sh"
      content = file("files/aliases.sh")
      mode    = "0644"
    }
  }

  task "message of the day" {
    file {
      path    = "/etc/motd"
      content = templatefile("templates/motd.tmpl", { name = host.name, cluster = var.cluster_name, nodes = length(groups.pve), distribution = facts.distribution, kernel = facts.kernel })
      mode    = "0644"
    }
  }

  task "issue" {
    file {
      path    = "/etc/issue"
      content = file("files/issue")
      mode    = "0644"
    }
  }

  task "directory of the storage" {
    file {
      path  = "/etc/ceph"
      state = "directory"
      mode  = "0755"
    }
  }

  task "settings of the storage" {
    file {
      path    = "/etc/ceph/ceph.conf"
      content = templatefile("templates/ceph.conf.tmpl", { fsid = var.fsid, size = var.pool_size, min_size = var.pool_min_size, nodes = [for n in groups.pve : hosts[n]] })
      mode    = "0644"
    }
  }

  task "directory of the node" {
    file {
      path  = "/etc/node-local"
      state = "directory"
      mode  = "0750"
    }
  }

  task "description" {
    file {
      path    = "/etc/node-local/node.yaml"
      content = templatefile("templates/node.yaml.tmpl", { cluster = var.cluster_name, name = host.name, nodes = groups.pve })
      mode    = "0640"
    }
  }

  task "link to the description" {
    file {
      path   = "/etc/node-local/current"
      target = "node.yaml"
    }
  }

  task "directory of cron's drop-ins" {
    file {
      path  = "/etc/systemd/system/cron.service.d"
      state = "directory"
      mode  = "0755"
    }
  }

  task "limits of cron" {
    file {
      path    = "/etc/systemd/system/cron.service.d/limits.conf"
      content = file("files/cron-limits.conf")
      mode    = "0644"
    }
    notify = ["systemd reads its units", "cron starts again"]
  }

  task "directory of journald's drop-ins" {
    file {
      path  = "/etc/systemd/journald.conf.d"
      state = "directory"
      mode  = "0755"
    }
  }

  task "size of the journal" {
    file {
      path    = "/etc/systemd/journald.conf.d/size.conf"
      content = file("files/journald.conf")
      mode    = "0644"
    }
  }

  task "log of the node" {
    file {
      path    = "/etc/rsyslog.d/30-node.conf"
      content = file("files/rsyslog.conf")
      mode    = "0644"
    }
    notify = ["rsyslog starts again"]
  }

  task "rotation of the log" {
    file {
      path    = "/etc/logrotate.d/node-local"
      content = file("files/logrotate")
      mode    = "0644"
    }
  }

  task "self-tests of disks" {
    file {
      path    = "/etc/cron.d/disk-selftest"
      content = file("files/cron-selftest")
      mode    = "0644"
    }
    notify = ["cron starts again"]
  }

  task "checks of arrays" {
    file {
      path    = "/etc/cron.d/array-check"
      content = file("files/cron-arrays")
      mode    = "0644"
    }
    notify = ["cron starts again"]
  }

  task "jumbo frames at boot" {
    file {
      path = "/etc/crontab"
      line {
        regexp = "ip link set vmbr0 mtu"
        line   = "@reboot root sleep 30 && /usr/bin/ip link set vmbr0 mtu 9000"
      }
    }
    notify = ["cron starts again"]
    allow  = { mtu = "the playbook does what its counterpart for Ansible does" }
  }

  task "interval of smartd" {
    file {
      path = "/etc/default/smartmontools"
      line {
        regexp = "^#?smartd_opts="
        line   = "smartd_opts=\"--interval=3600\""
      }
    }
  }

  task "modules of the initramfs" {
    file {
      path = "/etc/initramfs-tools/initramfs.conf"
      line {
        regexp = "^MODULES="
        line   = "MODULES=dep"
      }
    }
  }

  task "directories at boot" {
    file {
      path    = "/etc/tmpfiles.d/node-local.conf"
      content = file("files/tmpfiles.conf")
      mode    = "0644"
    }
  }

  task "module vfio at boot" {
    file {
      path = "/etc/modules"
      line {
        line = "vfio"
      }
    }
  }

  task "module vfio_iommu_type1 at boot" {
    file {
      path = "/etc/modules"
      line {
        line = "vfio_iommu_type1"
      }
    }
  }

  task "module vfio_pci at boot" {
    file {
      path = "/etc/modules"
      line {
        line = "vfio_pci"
      }
    }
  }

  task "module bonding at boot" {
    file {
      path    = "/etc/modules-load.d/bonding.conf"
      content = file("files/load-bonding.conf")
      mode    = "0644"
    }
  }

  task "module 8021q at boot" {
    file {
      path    = "/etc/modules-load.d/8021q.conf"
      content = file("files/load-8021q.conf")
      mode    = "0644"
    }
  }

  task "module br_netfilter at boot" {
    file {
      path    = "/etc/modules-load.d/br_netfilter.conf"
      content = file("files/load-br_netfilter.conf")
      mode    = "0644"
    }
  }

  task "options: vfio" {
    file {
      path    = "/etc/modprobe.d/node-vfio.conf"
      content = file("files/modprobe-vfio.conf")
      mode    = "0644"
    }
  }

  task "options: kvm" {
    file {
      path    = "/etc/modprobe.d/node-kvm.conf"
      content = file("files/modprobe-kvm.conf")
      mode    = "0644"
    }
  }

  task "options: blacklist" {
    file {
      path    = "/etc/modprobe.d/node-blacklist.conf"
      content = file("files/modprobe-blacklist.conf")
      mode    = "0644"
    }
  }

  task "options: bonding" {
    file {
      path    = "/etc/modprobe.d/node-bonding.conf"
      content = file("files/modprobe-bonding.conf")
      mode    = "0644"
    }
  }

  task "setting net.ipv4.ip_forward" {
    sysctl {
      name  = "net.ipv4.ip_forward"
      value = "1"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.all.rp_filter" {
    sysctl {
      name  = "net.ipv4.conf.all.rp_filter"
      value = "2"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.default.rp_filter" {
    sysctl {
      name  = "net.ipv4.conf.default.rp_filter"
      value = "2"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.all.accept_redirects" {
    sysctl {
      name  = "net.ipv4.conf.all.accept_redirects"
      value = "0"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.default.accept_redirects" {
    sysctl {
      name  = "net.ipv4.conf.default.accept_redirects"
      value = "0"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.all.send_redirects" {
    sysctl {
      name  = "net.ipv4.conf.all.send_redirects"
      value = "0"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.all.accept_source_route" {
    sysctl {
      name  = "net.ipv4.conf.all.accept_source_route"
      value = "0"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.conf.all.log_martians" {
    sysctl {
      name  = "net.ipv4.conf.all.log_martians"
      value = "1"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.icmp_echo_ignore_broadcasts" {
    sysctl {
      name  = "net.ipv4.icmp_echo_ignore_broadcasts"
      value = "1"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.tcp_syncookies" {
    sysctl {
      name  = "net.ipv4.tcp_syncookies"
      value = "1"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.tcp_keepalive_time" {
    sysctl {
      name  = "net.ipv4.tcp_keepalive_time"
      value = "600"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.tcp_fin_timeout" {
    sysctl {
      name  = "net.ipv4.tcp_fin_timeout"
      value = "30"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.tcp_mtu_probing" {
    sysctl {
      name  = "net.ipv4.tcp_mtu_probing"
      value = "1"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.tcp_slow_start_after_idle" {
    sysctl {
      name  = "net.ipv4.tcp_slow_start_after_idle"
      value = "0"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "setting net.ipv4.ip_local_port_range" {
    sysctl {
      name  = "net.ipv4.ip_local_port_range"
      value = "20000 60999"
      file  = "/etc/sysctl.d/90-node.conf"
    }
  }

  task "package python3" {
    apt {
      packages = ["python3"]
    }
  }

  task "package openssh-server" {
    apt {
      packages = ["openssh-server"]
    }
  }

  task "package sudo" {
    apt {
      packages = ["sudo"]
    }
  }

  task "package ca-certificates" {
    apt {
      packages = ["ca-certificates"]
    }
  }

  task "package cron" {
    apt {
      packages = ["cron"]
    }
  }

  task "package rsyslog" {
    apt {
      packages = ["rsyslog"]
    }
  }

  task "package logrotate" {
    apt {
      packages = ["logrotate"]
    }
  }

  task "package iperf3" {
    apt {
      packages = ["iperf3"]
    }
  }

  task "package smartmontools" {
    apt {
      packages = ["smartmontools"]
    }
  }

  task "package iproute2" {
    apt {
      packages = ["iproute2"]
    }
  }

  task "unit ssh.service" {
    service {
      name    = "ssh.service"
      state   = "started"
      enabled = true
    }
  }

  task "unit cron.service" {
    service {
      name    = "cron.service"
      state   = "started"
      enabled = true
    }
  }

  task "unit rsyslog.service" {
    service {
      name    = "rsyslog.service"
      state   = "started"
      enabled = true
    }
  }

  # systemd calls these four static: others start them, and nothing can enable them.

  task "unit dbus.service" {
    service {
      name  = "dbus.service"
      state = "started"
    }
  }

  task "unit systemd-logind.service" {
    service {
      name  = "systemd-logind.service"
      state = "started"
    }
  }

  task "unit systemd-journald.service" {
    service {
      name  = "systemd-journald.service"
      state = "started"
    }
  }

  task "unit systemd-tmpfiles-clean.timer" {
    service {
      name  = "systemd-tmpfiles-clean.timer"
      state = "started"
    }
  }

  task "unit iperf3.service" {
    service {
      name    = "iperf3.service"
      state   = "started"
      enabled = true
    }
  }

  task "unit systemd-networkd.service" {
    service {
      name    = "systemd-networkd.service"
      state   = "started"
      enabled = true
    }
  }

  task "unit logrotate.timer" {
    service {
      name    = "logrotate.timer"
      state   = "started"
      enabled = true
    }
  }

  task "own address" {
    command {
      argv  = ["hostname", "--ip-address"]
      reads = true
    }
    register = "address"
  }

  task "own address is no loopback address" {
    assert {
      that = [
        !startswith(result.address.stdout, "127."),
        result.address.stdout != "::1",
      ]
      message = "the node's name resolves to a loopback address"
    }
  }

  task "host key" {
    command {
      argv  = ["stat", "-c", "%a", "/etc/ssh/ssh_host_ed25519_key"]
      reads = true
    }
    register = "key"
  }

  task "host key is private" {
    assert {
      that    = [result.key.stdout == "600"]
      message = "others may read the host key"
    }
  }

  task "release of the kernel" {
    command {
      argv  = ["uname", "-r"]
      reads = true
    }
    register = "kernel"
  }

  task "forwarding" {
    command {
      argv  = ["sysctl", "-n", "net.ipv4.ip_forward"]
      reads = true
    }
    register = "forwarding"
  }

  task "forwarding is on" {
    assert {
      that    = [result.forwarding.stdout == "1"]
      message = "the node does not forward"
    }
  }

  task "link of the node" {
    command {
      shell = "ip -o link show host0 | grep 'state UP'"
      reads = true
    }
    register = "link"
  }

  task "settings of sshd are right" {
    command {
      argv  = ["/usr/sbin/sshd", "-t"]
      reads = true
    }
  }

  task "settings of sudo are right" {
    command {
      argv  = ["/usr/sbin/visudo", "-c"]
      reads = true
    }
  }

  task "state of the system" {
    command {
      shell = "systemctl is-system-running | grep -Ex 'running|degraded|starting'"
      reads = true
    }
    register = "state"
  }

  task "description is there" {
    command {
      argv  = ["stat", "-c", "%a", "/etc/node-local/node.yaml"]
      reads = true
      ok    = [0, 1]
    }
    register = "description"
  }

  task "space" {
    command {
      argv  = ["df", "-P", "/"]
      reads = true
    }
    register = "space"
  }

  task "boot loader, if there is one" {
    command {
      argv  = ["stat", "-c", "%a", "/etc/default/grub"]
      reads = true
      ok    = [0, 1]
    }
    register = "grub"
  }

  task "all in all" {
    assert {
      that = [
        length(result.kernel.stdout) > 0,
        length(result.space.stdout_lines) == 2,
        result.description.rc == 0,
      ]
      message = "the node is not what it should be"
    }
  }

  handler "systemd reads its units" {
    command {
      argv   = ["systemctl", "daemon-reload"]
      always = true
    }
  }

  handler "sshd reads its settings" {
    service {
      name  = "ssh"
      state = "reloaded"
    }
  }

  handler "rsyslog starts again" {
    service {
      name  = "rsyslog"
      state = "restarted"
    }
  }

  handler "cron starts again" {
    service {
      name  = "cron"
      state = "restarted"
    }
  }
}
