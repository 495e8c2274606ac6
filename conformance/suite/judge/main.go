// Command judge chooses which tests of the suite are run, and reads the suite's report.
//
//	judge skip core         the names of all extended tests, to be skipped
//	judge skip half NUMBER  the names of half of the extended tests: even and odd numbers are the two halves
//	judge summary REPORT [--partial]
//	                        prints each profile's counts; fails on anything failed, and, unless the run was meant to be
//	                        a part, on anything skipped or not claimed
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const usage = "usage: judge skip core | judge skip half NUMBER | judge summary REPORT [--partial]"

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		code = 1
	}
	os.Exit(code)
}

func run(words []string) (int, error) {
	switch {
	case len(words) == 2 && words[0] == "skip" && words[1] == "core":
		fmt.Println(strings.Join(extended(), ","))
		return 0, nil
	case len(words) == 3 && words[0] == "skip" && words[1] == "half":
		number, err := strconv.Atoi(words[2])
		if err != nil {
			return 1, fmt.Errorf("%q is not a number", words[2])
		}
		fmt.Println(strings.Join(half(extended(), number), ","))
		return 0, nil
	case len(words) == 2 && words[0] == "summary":
		return summarise(words[1], false)
	case len(words) == 3 && words[0] == "summary" && words[2] == "--partial":
		return summarise(words[1], true)
	}
	return 2, fmt.Errorf("%s", usage)
}
