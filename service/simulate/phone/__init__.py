"""Telephone platforms, played."""
