# SPDX-License-Identifier: Apache-2.0
"""The automations of deployments/automations.yaml on a Prefect server."""

from collections.abc import Iterator
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore

from deployments import project
from deployments.installing import InstallAction, Installed


def install(client: SyncPrefectClient, *, reset: bool) -> Iterator[Installed]:
    """Make the automations; the deployments that they run have to be there."""
    for said in project.automations():
        yield _install(client, _resolved(client, said), reset=reset)


def _install(client: SyncPrefectClient, wanted: AutomationCore, *, reset: bool) -> Installed:
    there = client.read_automations_by_name(wanted.name)
    if not there:
        client.create_automation(wanted)
        return Installed(kind="automation", name=wanted.name, what=InstallAction.MADE)
    (found, *_) = there
    merged = wanted if reset else _with_what_is_tuned(found, wanted)
    same = _comparable(merged) == _comparable(found)
    if not same:
        client.update_automation(found.id, merged)
    notes = tuple(_tuned(merged, wanted))
    what = InstallAction.LEFT if same else InstallAction.CHANGED
    return Installed(kind="automation", name=wanted.name, what=what, notes=notes)


def _resolved(client: SyncPrefectClient, said: dict[str, Any]) -> AutomationCore:
    """Put the deployment's id where its name stands."""
    actions = [_resolved_action(client, action) for action in said["actions"]]
    # A field that is not set is not sent, and then stays as it was.
    return AutomationCore.model_validate({"enabled": True, **said, "actions": actions})


def _resolved_action(client: SyncPrefectClient, said: dict[str, Any]) -> dict[str, Any]:
    action = dict(said)
    name = action.pop("deployment", None)
    if name is not None:
        action["deployment_id"] = client.read_deployment_by_name(name).id
    return action


def _with_what_is_tuned(found: Automation, wanted: AutomationCore) -> AutomationCore:
    return wanted.model_copy(update={"enabled": found.enabled, "trigger": found.trigger})


def _tuned(merged: AutomationCore, wanted: AutomationCore) -> Iterator[str]:
    if not merged.enabled:
        yield "it is switched off"
    if _plain(merged)["trigger"] != _plain(wanted)["trigger"]:
        yield "it has a trigger of its own"


def _comparable(automation: AutomationCore) -> dict[str, Any]:
    said = _plain(automation)
    return {key: said[key] for key in ("description", "enabled", "trigger", "actions")}


def _plain(automation: AutomationCore) -> Any:
    """Leave out the order of sets and the ids that a server gives."""
    said = automation.model_dump(mode="json")
    said["trigger"].pop("id", None)
    return _sorted(said)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(each) for each in value), key=str)
    return value
