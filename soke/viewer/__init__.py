"""Signing in the browser: to be looked at and judged by people."""
