"""The choice of the provider that an agent uses.

`auto` means containers where they work, else processes. Which of the two was chosen, and why, is
logged, because it decides how tasks are isolated.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from scheduler.providers import PROGRAMS_ONLY, HostView, InstanceError, Provider
from scheduler.providers.containerd.machine import why_no_containers
from scheduler.providers.isolation import gaps, record
from scheduler.providers.linux.loopback import CONFINED, Reach
from scheduler.providers.process import ProcessProvider

NAMES = ("process", "containerd", "auto")
log = logging.getLogger("remora.agent")


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """The options of an agent about instances. `address` is the socket of a containerd, or None for one of our own."""

    name: str = "process"
    isolation: str = "auto"
    address: str | None = None
    host_view: HostView = PROGRAMS_ONLY
    reach: Reach = CONFINED


async def open_provider(state_dir: Path, options: ProviderOptions) -> Provider:
    """Choose and prepare a provider. Missing isolation is written to the log and to the state directory.

    Raises InstanceError if no provider works.
    """
    provider = await _open(state_dir, options)
    for hold, rule in gaps(provider.isolation).items():
        log.log(logging.WARNING if rule.avoidable else logging.INFO, rule.gap, extra={"lacks": hold})
    record(provider.isolation, state_dir)
    return provider


async def _open(state_dir: Path, options: ProviderOptions) -> Provider:
    if options.name != "process":
        try:
            return await containers(state_dir, options)
        except InstanceError as error:
            if options.name == "containerd":
                raise
            log.warning("instances are processes, not containers", extra={"why": str(error)})
    provider = ProcessProvider(
        state_dir, options.isolation, adopt=True, host_view=options.host_view, reach=options.reach
    )
    await provider.prepare()
    return provider


async def containers(state_dir: Path, options: ProviderOptions) -> Provider:
    """The containerd provider, prepared. Raises InstanceError."""
    if why := why_no_containers(own_daemon=options.address is None):
        raise InstanceError(why)
    from scheduler.providers.containerd.provider import ContainerdProvider  # needs a package that is optional

    provider = ContainerdProvider(state_dir, options.address, options.host_view, options.reach)
    try:
        await provider.prepare()
    except BaseException:
        await provider.close()
        raise
    return provider
