"""Titmouse Home, an invented shop for small appliances, kitchen and home goods.

It has articles, recorded conversations and an order system that runs as a process of its own. Nothing of Huiliu is imported
here and nothing here is imported by Huiliu: the two meet over MCP, as with a real shop.
"""
