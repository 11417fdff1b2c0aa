"""Charts of reports: which ones a scenario has (`of_reports`, pure), and how they are drawn (`drawing`, matplotlib)."""

from .chart import Chart
from .of_reports import charts_of

__all__ = ["Chart", "charts_of"]
