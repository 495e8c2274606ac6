package node

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLogLinesKeepTheirTimeAndSinceIsHonoured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pod", "container.log")
	writer, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if _, err := writer.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("first\nsec")
	time.Sleep(2 * time.Millisecond)
	between := time.Now()
	write("ond\nthird\nincomplete")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for since, wanted := range map[time.Time]string{{}: "first\nsecond\nthird\n", between: "second\nthird\n", time.Now().Add(time.Hour): ""} {
		lines, rest := readLines(bufio.NewReader(strings.NewReader(string(content))), "", logQuery{since: since})
		if got := strings.Join(lines, ""); got != wanted || rest != "" {
			t.Errorf("since %s: got %q and %q left, wanted %q", since, got, rest, wanted)
		}
	}
}
