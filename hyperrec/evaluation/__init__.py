"""Metrics, full ranking, cost, significance and result rows."""
