host "a" {
  address = "10.0.0.1/24"
}
host "b" {
  address = "10.0.0.1:22"
}
host "c" {
  address = "root@10.0.0.1"
}
host "d" {
  address = "10.0.0.256"
}
host "e" {
  address = "two words"
}
