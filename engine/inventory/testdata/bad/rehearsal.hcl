host "a" {
  rehearsal "name" {
    debian    = "trixi"
    addresses = ["10.0.0.1"]
    guests    = { "7" = "vm" }
    disk "/dev/sdb" {}
    disk "sdc" {
      size  = "big"
      sizes = 1
      part {}
    }
    disk "sdc" {}
    disc "sdd" {}
  }
  rehearsal {
    guests = { "100" = "lxc" }
  }
}
