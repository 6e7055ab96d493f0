"""Diagnosis: a graph, a plan and a trace in; findings with causes and fixes out."""
