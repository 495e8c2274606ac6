package main

import (
	"slices"
	"testing"
)

func TestTwoNumbersThatFollowOneAnotherLeaveNoTestOut(t *testing.T) {
	names := extended()
	if len(names) < 50 {
		t.Fatalf("only %d extended tests are known", len(names))
	}
	for number := range 3 {
		both := append(half(names, number), half(names, number+1)...)
		slices.Sort(both)
		if !slices.Equal(both, names) {
			t.Errorf("halves %d and %d are not the whole", number, number+1)
		}
	}
}

func TestCoreTestsAreNeverChosen(t *testing.T) {
	for _, name := range []string{"HTTPRouteSimpleSameNamespace", "GRPCRouteHeaderMatching", "TLSRouteSimpleSameNamespace"} {
		if slices.Contains(extended(), name) {
			t.Errorf("%s is a core test", name)
		}
	}
}
