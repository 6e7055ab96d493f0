"""Records to what people read: terminal text, one HTML file, JSON."""

from fanin.reports.report import Report

__all__ = ["Report"]
