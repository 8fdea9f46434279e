# Takes a node out of service for maintenance: its OSDs stay in while they are down, and its guests are moved away. Handlers put it back
# into service, whatever happens to the run.

variable "local_disks" {
  description = "Copy disks on local storages to the node that the guest moves to."
  type        = bool
}

variable "evacuation" {
  description = "Maximum time to wait for the highly available guests to leave the node."
  type        = string
}

variable "pause" {
  description = "The time between two checks whether Ceph can do without the node."
  type        = string
}

# A monitor or metadata server that does not exist counts as one that can be stopped. A node without OSDs is not in the CRUSH map (ENOENT, 2).
task "Ceph can do without the daemons of the node" {
  when = facts.ceph != null
  command {
    shell = "osds=$(ceph osd ls-tree \"$NODE\") || [ $? = 2 ] || exit; [ -z \"$osds\" ] || ceph osd ok-to-stop $osds && ceph mon ok-to-stop \"$NODE\" && ceph mds ok-to-stop \"$NODE\""
    env   = { NODE = host.name }
    reads = true
  }
  retries = 5
  delay   = var.pause
}

task "keep its OSDs in while it is away" {
  when = facts.ceph != null
  command {
    shell  = "ceph osd ls-tree \"$NODE\" >/dev/null; case $? in 0) exec ceph osd set-group noout \"$NODE\" ;; 2) ;; *) exit 1 ;; esac"
    env    = { NODE = host.name }
    always = true
  }
  notify = ["let its OSDs be marked out again"]
}

task "move its guests away" {
  evacuate {
    local_disks = var.local_disks
    timeout     = var.evacuation
  }
  notify  = ["leave maintenance mode"]
  timeout = "12h"
}

handler "let its OSDs be marked out again" {
  command {
    shell  = "ceph osd ls-tree \"$NODE\" >/dev/null; case $? in 0) exec ceph osd unset-group noout \"$NODE\" ;; 2) ;; *) exit 1 ;; esac"
    env    = { NODE = host.name }
    always = true
  }
}

# The HA manager takes its commands every ten seconds, and then hears from the node. A command to enter maintenance mode may be among
# them, if the run was interrupted. So what it says counts once it has taken all, and has said it for 20 seconds.
handler "leave maintenance mode" {
  command {
    shell  = <<-EOT
      ha-manager crm-command node-maintenance disable "$NODE" || exit
      [ -e /etc/pve/ha/manager_status ] || exit 0 # nothing is highly available
      calm=0
      for i in $(seq 24); do
        sleep 5
        grep -q "\"$NODE\":\"maintenance\"" /etc/pve/ha/manager_status
        maintenance=$?
        case $maintenance in 0) calm=0 ;; 1) [ -e /etc/pve/ha/crm_commands ] || calm=$((calm + 1)) ;; *) exit 1 ;; esac # it cannot be asked
        [ "$calm" -lt 4 ] || exit 0
      done
      [ "$maintenance" -eq 0 ] || exit 0
      echo "$NODE is in maintenance mode after two minutes still" >&2
      exit 1
    EOT
    env    = { NODE = host.name }
    always = true
  }
}
