"""The stage `evaluate`: its data, figures, tables, findings and report."""
