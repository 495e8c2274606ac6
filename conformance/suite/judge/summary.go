package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	v1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/yaml"
)

// count is what one profile's core or extended tests came to.
type count struct {
	passed, failed, skipped uint32
	failedTests             []string
	skippedTests            []string
	unclaimed               []string
}

func (c *count) add(other count) {
	c.passed, c.failed, c.skipped = c.passed+other.passed, c.failed+other.failed, c.skipped+other.skipped
	c.unclaimed = append(c.unclaimed, other.unclaimed...)
}

func counted(status v1.Status) count {
	return count{
		passed: status.Passed, failed: status.Failed, skipped: status.Skipped,
		failedTests: status.FailedTests, skippedTests: status.SkippedTests,
	}
}

func summarise(path string, partial bool) (int, error) {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return 1, fmt.Errorf("there is no report, so the suite did not come to its end: %w", err)
	}
	var report v1.ConformanceReport
	if err := yaml.UnmarshalStrict(encoded, &report); err != nil {
		return 1, fmt.Errorf("decode %s: %w", path, err)
	}
	fmt.Printf("\n%s %s, Gateway API %s (%s)\n", report.Project, report.Version, report.GatewayAPIVersion, report.GatewayAPIChannel)
	slices.SortFunc(report.ProfileReports, func(one, other v1.ProfileReport) int { return strings.Compare(one.Name, other.Name) })
	var core, more count
	for _, profile := range report.ProfileReports {
		own := counted(profile.Core)
		show(profile.Name, "core", own)
		core.add(own)
		if profile.Extended != nil {
			own = counted(profile.Extended.Status)
			own.unclaimed = profile.Extended.UnsupportedFeatures
			show(profile.Name, "extended", own)
			more.add(own)
		}
	}
	show("all profiles", "core", count{passed: core.passed, failed: core.failed, skipped: core.skipped})
	show("all profiles", "extended", count{passed: more.passed, failed: more.failed, skipped: more.skipped})
	whole := len(report.ProfileReports) == len(profiles) && core.passed > 0 && core.skipped+more.skipped == 0 && len(more.unclaimed) == 0
	if core.failed+more.failed > 0 || !whole && !partial {
		return 1, nil
	}
	return 0, nil
}

func show(profile, level string, own count) {
	fmt.Printf("  %-13s %-9s %3d passed %3d failed %3d skipped\n", profile, level, own.passed, own.failed, own.skipped)
	for what, names := range map[string][]string{"failed": own.failedTests, "not claimed": own.unclaimed} {
		if len(names) > 0 {
			fmt.Printf("    %s: %s\n", what, strings.Join(names, ", "))
		}
	}
	if len(own.skippedTests) > 0 && len(own.skippedTests) <= 8 {
		fmt.Printf("    skipped: %s\n", strings.Join(own.skippedTests, ", "))
	}
}
