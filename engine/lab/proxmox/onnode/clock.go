//go:build linux

package onnode

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// ClockFile is the file with which the machines of a lab share its clock.
const ClockFile = Dir + "/clock.json"

// clock is the lab's time, which runs faster than the machines' time, so that a test need not wait for the minutes that
// Ceph takes.
type clock struct {
	// Epoch is when the two times were equal. Speed is how many times faster the clock runs.
	Epoch time.Time
	Speed float64
}

// Clock returns the content of a ClockFile: a clock that starts now and runs speed times as fast as the wall clock.
func Clock(speed float64) string {
	text, _ := json.Marshal(clock{Epoch: time.Now(), Speed: speed}) // a time and a number can always be marshaled
	return string(text)
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

// Now implements machine.Clock.
func (c *clock) Now() time.Time {
	return c.Epoch.Add(time.Duration(float64(time.Since(c.Epoch)) * c.Speed)).UTC()
}

// After implements machine.Clock.
func (c *clock) After(d time.Duration, fn func()) {
	time.AfterFunc(time.Duration(float64(d)/c.Speed), fn)
}

// Pass implements machine.Clock.
func (c *clock) Pass(d time.Duration, fn func()) { c.After(d, fn) }

// Sleep implements machine.Clock.
func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(time.Duration(float64(d) / c.Speed))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
