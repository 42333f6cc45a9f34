"""What the packages give, loaded on first use."""

from types import ModuleType

import pytest

import agentkit.providers
import agentkit.transports


@pytest.mark.parametrize("package", [agentkit.providers, agentkit.transports])
def test_every_name_is_there_and_no_other(package: ModuleType) -> None:
    assert dir(package) == package.__all__
    assert [getattr(package, name).__name__ for name in package.__all__] == package.__all__
    with pytest.raises(AttributeError, match="no attribute 'Telepathy'"):
        package.Telepathy  # noqa: B018 - reading it is what is tested
