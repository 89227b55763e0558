"""What stands before a run and before each of its steps: rates, budgets, quotas, and whose turn it is."""
