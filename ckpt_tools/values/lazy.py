"""numpy, imported at its first use: the import takes longer than most commands run."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _Numpy:
        """Imports numpy for the first attribute that is read, and keeps every attribute."""

        def __getattr__(self, name: str) -> object:
            import numpy as np  # noqa: PLC0415 - as the module's docstring says

            found = getattr(np, name)
            setattr(self, name, found)
            return found

    np = _Numpy()
