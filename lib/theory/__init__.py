"""Exact laws, drawn over the simulations and used as their oracles: one module per world, each law with its source.

The Gaussian's are also found here; those of the other worlds under their module, such as `theory.regression`.
"""

from lib.theory import discrete, limits, molecules, regression
from lib.theory.gaussian import (
    EULER_SUM,
    accumulate_error_bound,
    c4,
    expected_error,
    expected_variance,
    expected_w2_replace,
    growth_error_factor,
    log_drift,
    log_spread,
    replace_growth_factor,
    variance_quantiles_replace,
)

__all__ = [
    "EULER_SUM",
    "accumulate_error_bound",
    "c4",
    "discrete",
    "expected_error",
    "expected_variance",
    "expected_w2_replace",
    "growth_error_factor",
    "limits",
    "log_drift",
    "log_spread",
    "molecules",
    "regression",
    "replace_growth_factor",
    "variance_quantiles_replace",
]
