//go:build !linux

package main

// echo controls whether hlplay's terminal echoes input. On systems other than Linux it does nothing.
type echo struct{}

var typing echo

func (*echo) set(bool) {}
func (*echo) end()     {}
