host "a" {
  address = 
}
