//go:build linux

package onnode

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const clockFile = "clock.json"

// clock is the lab's time: that of the machines, but it runs faster, so that what takes Ceph a minute does not take
// a test as long.
type clock struct {
	// Epoch is when it showed the machines' own time, Speed how many of its seconds one of theirs has.
	Epoch time.Time
	Speed float64
}

// SetClock prepares the directory that will be Dir on the machines: their clusters' clock starts now, speed times as
// fast as the wall's.
func SetClock(dir string, speed float64) error {
	text, err := json.Marshal(clock{Epoch: time.Now(), Speed: speed})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, clockFile), text, 0o644)
}

func readClock(name string) (*clock, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the lab's clock: %w", err)
	}
	var c clock
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("the lab's clock %s: %w", name, err)
	}
	if c.Speed <= 0 {
		return nil, fmt.Errorf("the lab's clock %s stands still: speed %v", name, c.Speed)
	}
	return &c, nil
}

// Now implements proxmox.Clock.
func (c *clock) Now() time.Time {
	return c.Epoch.Add(time.Duration(float64(time.Since(c.Epoch)) * c.Speed)).UTC()
}

// After implements proxmox.Clock.
func (c *clock) After(d time.Duration, fn func()) {
	time.AfterFunc(time.Duration(float64(d)/c.Speed), fn)
}
