package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = `apiVersion: gateway.networking.k8s.io/v1
kind: ConformanceReport
date: "2026-01-01T00:00:00Z"
gatewayAPIChannel: experimental
gatewayAPIVersion: v1.6.3
mode: default
implementation: {contact: [c], organization: o, project: p, url: u, version: v}
profiles:
`

func report(t *testing.T, extended string) string {
	t.Helper()
	text := head
	for _, profile := range profiles {
		text += "- name: " + string(profile.Name) + "\n  summary: s\n" +
			"  core: {result: success, statistics: {Passed: 3, Failed: 0, Skipped: 0}}\n" +
			"  extended: {result: success, " + extended + "}\n"
	}
	path := filepath.Join(t.TempDir(), "report.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOnlyAWholeReportIsAPass(t *testing.T) {
	for extended, wanted := range map[string][2]int{
		"statistics: {Passed: 2, Failed: 0, Skipped: 0}":                                        {0, 0},
		"statistics: {Passed: 2, Failed: 1, Skipped: 0}, failedTests: [A]":                      {1, 1},
		"statistics: {Passed: 2, Failed: 0, Skipped: 1}, skippedTests: [A]":                     {1, 0},
		"statistics: {Passed: 2, Failed: 0, Skipped: 0}, unsupportedFeatures: [HTTPRouteRetry]": {1, 0},
	} {
		for index, partial := range []bool{false, true} {
			code, err := summarise(report(t, extended), partial)
			if err != nil || code != wanted[index] {
				t.Errorf("%s, partial %t: code %d (%v), wanted %d", extended, partial, code, err, wanted[index])
			}
		}
	}
}

func TestAMissingReportIsAFailure(t *testing.T) {
	code, err := summarise(filepath.Join(t.TempDir(), "none.yaml"), false)
	if code == 0 || err == nil || !strings.Contains(err.Error(), "did not come to its end") {
		t.Errorf("code %d, %v", code, err)
	}
}
