package main

import (
	"slices"

	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

var profiles = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile,
	suite.GatewayGRPCConformanceProfile,
	suite.GatewayTLSConformanceProfile,
	suite.GatewayTCPConformanceProfile,
	suite.GatewayUDPConformanceProfile,
}

// extended names the tests that need a feature which no profile counts among its core ones, in the order of their names.
func extended() []string {
	var names []string
	for _, test := range tests.ConformanceTests {
		for _, feature := range test.Features {
			isCore := slices.ContainsFunc(profiles, func(profile suite.ConformanceProfile) bool {
				return profile.CoreFeatures.Has(feature)
			})
			if !isCore {
				names = append(names, test.ShortName)
				break
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// half chooses every other name, so that two numbers that follow one another leave nothing out.
func half(names []string, number int) []string {
	var chosen []string
	for index, name := range names {
		if (index+number)%2 == 0 {
			chosen = append(chosen, name)
		}
	}
	return chosen
}
