port = 22
defaults {
  usr = "root"
}
host "a" {
  adress = "10.0.0.1"
  rehersal {}
  zzzzzzzzzzzz = 1
}
group "g" {
  host = ["a"]
}
hsot "b" {}
