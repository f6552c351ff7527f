"""Exact laws, drawn over the simulations and used as their oracles: one module per world, the Gaussian's also here."""

from lib.theory import discrete, limits, molecules, regression
from lib.theory.gaussian import (
    EULER_SUM,
    accumulate_error_bound,
    expected_error,
    expected_variance,
    expected_w2_replace,
    growth_error_factor,
    limit,
    log_drift,
    replace_growth_factor,
    variance_quantiles_replace,
)
