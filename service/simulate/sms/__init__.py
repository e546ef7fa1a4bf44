"""SMS carriers by their documents: one module each, and the customers' phones that they share."""
