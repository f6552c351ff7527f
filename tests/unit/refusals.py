"""What a refusal must name: the setting and, where it is told, the value."""

from contextlib import contextmanager

import pytest

from lib.errors import Refused


@contextmanager
def refused(setting, value=...):
    """Expect a refusal of a setting; its own words are free."""
    with pytest.raises(Refused) as raised:
        yield raised
    assert raised.value.setting == setting
    if value is not ...:
        assert repr(raised.value.value) == repr(value)
    assert raised.value.allowed
