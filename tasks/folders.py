# SPDX-License-Identifier: Apache-2.0
"""What a run may name of the files on the machine that runs it."""

import os
from collections.abc import Collection

from tradewind.model.deploy_options import DeployOptions
from tradewind.morphing import named_folders

# A Prefect worker puts the run's id into the environment of each flow process. One that a person
# started (`tradewind deploy`) reads with that person's own rights: there is nothing to refuse.
_OF_WORKER = "PREFECT__FLOW_RUN_ID"


def require_named_files(paths: Collection[str]) -> None:
    """Refuse files and folders that a run asked for through Prefect's API may not name."""
    if _OF_WORKER in os.environ:
        named_folders.require_below(paths, os.environ.get(named_folders.VARIABLE, ""))


def require_deploy_options(deploy_options: DeployOptions) -> None:
    """Refuse folders of packages and scripts that such a run may not name."""
    scripts = [script.path for script in deploy_options.scripts]
    named = [deploy_options.packages_folder, deploy_options.scripts_folder, *scripts]
    require_named_files([path for path in named if path])
