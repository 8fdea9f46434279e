host "h" {}
group "a" {
  children = ["b"]
}
group "b" {
  children = ["c"]
}
group "c" {
  hosts    = ["h"]
  children = ["a"]
}
