"""The paper's table, from photographs to report."""
