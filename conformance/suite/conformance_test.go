// Package suite runs the unmodified conformance suite of the Gateway API. Everything that differs between runs is a
// flag of the suite itself.
package suite

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
