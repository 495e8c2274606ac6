"""What the gateway tells about the traffic: counters, rates, percentiles. Nothing here sees a request."""
