package proxmox

import "testing"

// The schedule of a backup job is a calendar event (Proxmox VE's admin guide, "Calendar Events").
func TestCalendarEvents(t *testing.T) {
	for text, want := range map[string]bool{
		"mon,tue,wed,thu,fri": true, "sat,sun": true, "mon..fri": true, "12:05": true, "*/5": true, "mon..wed 30/10": true, "mon..fri 8..17,22:0/15": true,
		"fri 12..13:5/20": true, "12,14,16,18,20,22:5": true, "*": true, "sat *-1..7 15:00": true, "2015-10-21": true, "*-*-1 02:00": true, "2:30:15": true, "Sunday 01:00": true,
		"daily": true, "0/2:00": true, "semi-annually": true,
		"": false, "every tuesday": false, "mon-fri 22:00": false, "25:00": false, "12:60": false, "61": false, "02:30 ": false, "@daily": false, "30 2 * * *": false,
		"mon..fri 22:00 23:00": false, "*/90": false, "13-40": false, "dailyish": false,
	} {
		if got := calendarEvent().MatchString(text); got != want {
			t.Errorf("%q: accepted %v, expected %v", text, got, want)
		}
	}
}
