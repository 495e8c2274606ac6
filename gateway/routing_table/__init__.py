"""The contract between the controller and the gateway: model, wire format, validation, reason codes."""
