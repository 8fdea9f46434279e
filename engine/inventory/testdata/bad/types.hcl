host "a" {
  address    = 10
  port       = "22"
  become     = "yes"
  keys       = "id"
  vars       = ["x"]
  user       = ""
  connection = "shh"
}
host "b" {
  port = 70000
  keys = ["a", 3]
  user = "-oProxyCommand=x"
  vars = { big = 1e400 }
}
group "g" {
  hosts    = [a, "b"]
  children = upper("x")
}
