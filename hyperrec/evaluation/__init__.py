"""Metrics, full ranking, cost, significance, results and the report."""
