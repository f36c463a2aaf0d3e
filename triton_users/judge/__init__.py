"""What a run's counts mean: verdict, thresholds, client-limited. Pure functions."""
