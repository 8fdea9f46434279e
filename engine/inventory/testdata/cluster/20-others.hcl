host "backup" {
  address     = "backup.lan"
  ssh_address = "127.0.0.1"
  port        = 2201
  user        = "admin"
  become      = true
  become_user = "root"
  known_hosts = "known_hosts"
}
