"""The report of the adaptation laboratory, made from stored rows."""

from experiments.adaptation.report import page, tables

terminal_table = tables.terminal_table
write_report = page.write_report
