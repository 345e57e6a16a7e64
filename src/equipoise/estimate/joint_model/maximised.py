"""What fits of a joint likelihood have in common: how the search ended, and whose data they are of."""

from __future__ import annotations

from typing import Any

from equipoise.estimate.fit import Fit
from equipoise.estimate.joint_model.optimise import Optimum
from equipoise.estimate.joint_model.setup import Setup
from equipoise.estimate.left_out import LeftOut
from equipoise.types import REASONS, FloatArray, Status


class Maximised(Fit):
    """A fit with an ``optimum`` of the data in ``setup``."""

    setup: Setup
    optimum: Optimum

    @property
    def status(self) -> Status:
        return self.optimum.status

    @property
    def reason(self) -> str:
        """Why the fit is what it is: ``estimated``, or what stood in the way."""
        own = self.optimum.reason
        if self.status is Status.BOUNDARY and self.optimum.flat is not None:
            name = self.random_names[self.optimum.flat]
            own += f"; {name} has next to no variance of its own: leave it out, or write penalised=True"
        return own if own.startswith("not estimable") else REASONS[self.status] + (f": {own}" if own else "")

    @property
    def converged(self) -> bool:
        return self.status is Status.OK

    @property
    def theta(self) -> FloatArray:
        """(parameter,) the parameters, in the order of ``names``."""
        return self.optimum.theta

    @property
    def random_names(self) -> tuple[str, ...]:
        """Of the random effects, each with its marker where there are several."""
        several = len(self.setup.markers) > 1
        return tuple((f"{m.name}: " if several else "") + name for m in self.setup.markers for name in m.random.names)

    @property
    def loglik(self) -> float:
        return self.optimum.loglik

    @property
    def n(self) -> int:
        """Patients."""
        return self.setup.n

    @property
    def left_out(self) -> LeftOut:
        return self.setup.left_out

    @property
    def backend(self) -> Any:
        return self.setup.backend
