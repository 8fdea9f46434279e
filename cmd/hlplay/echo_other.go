//go:build !linux

package main

// echo is whether the terminal that hlplay runs in shows what is typed on it; elsewhere than on Linux it stays as it is.
type echo struct{}

var typing echo

func (*echo) still(bool) {}
func (*echo) end()       {}
