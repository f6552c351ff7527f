"""The worlds: model families with their data. They know no regimes and count no generations."""
