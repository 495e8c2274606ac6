"""Tests of the gateway and the controller."""
