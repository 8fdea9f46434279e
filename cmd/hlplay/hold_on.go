//go:build hold

package main

func init() { holdExpectations = true }
