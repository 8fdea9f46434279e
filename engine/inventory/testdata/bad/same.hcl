host "a" {
  address = "10.0.0.1"
}
host "b" {
  address = "10.0.0.1"
  port    = 22
}
host "c" {
  address     = "10.0.0.1"
  ssh_address = "127.0.0.1"
}
host "三" {}
