"""What the contribution views share: kept as factors, multiplied with the tower's maps on read."""

from __future__ import annotations

from ..store.views import View
from .kinds import TowerPass
from .views.tower_maps import TowerMaps


class MappedPass(TowerPass):
    """An array of factors that a read multiplies with the tower's fixed maps, under either convention."""

    @property
    def maps(self) -> TowerMaps:
        """The matrices and constants by which the factors are multiplied."""
        return TowerMaps(self.model)

    def companions(self) -> tuple[View, ...]:
        """List the tower's maps."""
        return (self.maps,)
