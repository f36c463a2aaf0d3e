"""Two servers, one verdict: rounds that alternate, ratios with intervals, answers against answers."""
