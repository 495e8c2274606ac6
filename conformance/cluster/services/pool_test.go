package services

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func claimed(t *testing.T, pool *pool, owner, asked string) string {
	t.Helper()
	address, err := pool.claim(types.UID(owner), asked)
	if err != nil {
		t.Fatal(err)
	}
	return address.String()
}

func TestAddressesAreKeptAndNotSharedAndNotUsedAgainAtOnce(t *testing.T) {
	pool := newPool("10.250.0.0/16")
	first, second := claimed(t, pool, "a", ""), claimed(t, pool, "b", "")
	if first != "10.250.0.1" || second != "10.250.0.2" || claimed(t, pool, "a", "") != first {
		t.Errorf("got %s and %s", first, second)
	}
	pool.release("a")
	if third := claimed(t, pool, "c", ""); third != "10.250.0.3" {
		t.Errorf("an address just given back is handed out: %s", third)
	}
	if asked := claimed(t, pool, "d", first); asked != first {
		t.Errorf("a free address asked for is not given: %s", asked)
	}
}

func TestAddressesThatAreTakenOrOutsideAreRefused(t *testing.T) {
	pool := newPool("10.250.0.0/16")
	taken := claimed(t, pool, "a", "10.250.200.1")
	for _, asked := range []string{taken, "10.251.0.1", "nonsense", "::1"} {
		if address, err := pool.claim("b", asked); err == nil {
			t.Errorf("%s was given as %s", asked, address)
		}
	}
	if moved := claimed(t, pool, "a", "10.250.200.2"); moved != "10.250.200.2" || claimed(t, pool, "b", taken) != taken {
		t.Errorf("an owner that moved keeps its former address")
	}
}

func TestAnEmptyPoolSaysSo(t *testing.T) {
	pool := newPool("10.250.0.0/30") // Handed out in turn: its first half, less the network's own address.
	claimed(t, pool, "a", "")
	if address, err := pool.claim("b", ""); err == nil {
		t.Errorf("%s came from nowhere", address)
	}
}
