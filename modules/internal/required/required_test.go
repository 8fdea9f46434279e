package required

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
)

// What a coming package brings cannot be known.
func TestComing(t *testing.T) {
	h := observe.NewRecorded("n1", observe.Programs.Expect("git", false), observe.Users.Expect("ada", observe.User{}))
	if err := Program(t.Context(), h, "git", "the checkout"); err == nil || !strings.Contains(err.Error(), "the checkout needs git, which the host does not have: install the package that provides it") {
		t.Errorf("without the package: %v", err)
	}
	h.Predict([]observe.Expectation{ExpectComing(h, []string{"git"})})
	if err := Program(t.Context(), h, "git", "the checkout"); !observe.IsUnknown(err) {
		t.Errorf("some package is coming: %v, want that it is not known", err)
	}
	if err := Account(t.Context(), h, "user", "ada", "", ""); !observe.IsUnknown(err) {
		t.Errorf("an account: %v, want that it is not known", err)
	}
}
