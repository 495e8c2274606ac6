package suite

// The custom resource definitions come from the module of the API itself, so its version must be required here and
// be the suite's own: the suite refuses any other.
import _ "sigs.k8s.io/gateway-api/pkg/consts"
