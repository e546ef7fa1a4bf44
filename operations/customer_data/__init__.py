"""Customers in bulk: imports from tables, exports, and what cleaning did to data."""
