# SPDX-License-Identifier: Apache-2.0
"""Names, defaults and refusals of the provider options."""

import json
import pickle
from typing import Any

import pytest

from tradewind.errors import NotFoundError, OptionError
from tradewind.model.deploy import CpuMode
from tradewind.model.options import (
    NOT_BUILT,
    NOT_FOR_ONE_RUN,
    OptionFields,
    OptionOverrides,
    ProviderOptions,
)
from tradewind.model.requests import TransferRequest

# The specification's table, letter by letter.
DEFAULTS: dict[str, Any] = {
    "default_storage_pool": None,
    "migr_image_map": "",
    "migr_worker_volume_size": 25,
    "migr_worker_memory": 4096,
    "migr_worker_vcpus": 2,
    "migr_worker_network": None,
    "data_transfer_mechanism": "https",
    "enable_vm_console_log": True,
    "vm_console_log_dir": "/var/log/libvirt/qemu",
    "enable_vm_vnc_console": False,
    "vnc_listen_address": "0.0.0.0",
    "windows_virtio_iso_url": "https://fedorapeople.org/groups/virt/virtio-win/direct-downloads/"
    "stable-virtio/virtio-win.iso",
    "set_dhcp": True,
    "use_config_drive": False,
    "retain_user_credentials": True,
    "cpu_mode": "host-passthrough",
    "cpu_migratable": True,
    "cpu_features": ["rdtscp", "invtsc", "x2apic"],
    "migr_worker_iface_addr_src": "agent",
    "ssh_key_path": None,
    "sqlite_database_file": "/opt/coriolis/libvirt_provider_db.sqlite",
    "add_tpm_device": True,
}

WORDS = ("title", "description", "default", "position")


def test_names_and_defaults() -> None:
    assert json.loads(ProviderOptions().model_dump_json()) == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_explains_itself(name: str) -> None:
    field = OptionFields.model_fields[name]
    assert field.title
    assert field.description
    assert field.description.endswith(".")


def test_overrides_are_the_same_options() -> None:
    assert OptionOverrides.model_fields.keys() == OptionFields.model_fields.keys()
    for name, override in OptionOverrides.model_fields.items():
        option = OptionFields.model_fields[name]
        assert (override.title, override.description) == (option.title, option.description)
        assert override.default is None


@pytest.mark.parametrize(
    "name", [name for name in DEFAULTS if name not in NOT_BUILT.keys() | NOT_FOR_ONE_RUN]
)
def test_override_takes_the_same_values(name: str) -> None:
    option, override = (
        _values(kind.model_json_schema()["properties"][name])
        for kind in (OptionFields, OptionOverrides)
    )
    unchanged = [values for values in override if "properties" in values]
    assert [values for values in override if values not in unchanged] == [
        values for values in option if values != {"type": "null"}
    ]
    assert bool(unchanged) == (option == [{"type": "boolean"}])


def test_override_that_nobody_can_set_is_not_asked_for() -> None:
    hidden = NOT_BUILT.keys() | NOT_FOR_ONE_RUN
    assert not hidden & OptionOverrides.model_json_schema()["properties"].keys()
    assert OptionFields.model_fields.keys() > NOT_FOR_ONE_RUN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sqlite_database_file", "/tmp/forged.sqlite"),
        ("sqlite_database_file", "postgresql://elsewhere/ledger"),
        ("ssh_key_path", "/root/.ssh/id_ed25519"),
        ("vm_console_log_dir", "/etc/cron.d"),
    ],
)
def test_what_is_for_all_runs_cannot_be_set_for_one(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"option {name}: no single run may set it") as caught:
        OptionOverrides.model_validate({name: value})
    assert f"tradewind options set {name}=" in caught.value.hint
    assert value not in str(caught.value)
    with pytest.raises(OptionError, match="no single run"):
        TransferRequest.model_validate(
            {"machine": "m", "source": "a", "destination": "b", "overrides": {name: value}}
        )


def test_overrides_say_what_is_set() -> None:
    """A flow's schema takes no null for a choice or a switch."""
    assert OptionOverrides(set_dhcp=False).model_dump(mode="json") == {"set_dhcp": False}


def _values(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What the field of a form takes, without its words."""
    return [
        {key: value for key, value in each.items() if key not in WORDS}
        for each in schema.get("anyOf", [schema])
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("migr_image_map", "linux:deb.qcow2, windows:win 11.qcow2", None),
        ("migr_image_map", {"linux": "deb.qcow2", "windows": "win 11.qcow2"}, None),
        ("migr_image_map", "", {}),
        ("cpu_features", "x2apic, rdtscp", ("x2apic", "rdtscp")),
        ("cpu_features", "", ()),
        ("cpu_mode", "", CpuMode.LIBVIRT_DEFAULT),
        ("default_storage_pool", " ", None),
        ("set_dhcp", "off", False),
        ("migr_worker_memory", "2048", 2048),
        ("vnc_listen_address", "::1", "::1"),
    ],
)
def test_values_as_text(name: str, value: Any, expected: Any) -> None:
    if expected is None and name == "migr_image_map":
        expected = {"linux": "deb.qcow2", "windows": "win 11.qcow2"}
    assert getattr(ProviderOptions.model_validate({name: value}), name) == expected


@pytest.mark.parametrize("kind", [ProviderOptions, OptionOverrides])
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("migr_image_map", "deb.qcow2", "not of the form os:volume"),
        ("migr_image_map", "linux:a,linux:b", "named twice"),
        ("migr_image_map", "linux:", "not of the form os:volume"),
        ("migr_worker_volume_size", 0, "greater than or equal to 1"),
        ("migr_worker_memory", "lots", "valid integer"),
        ("migr_worker_memory", 64, "greater than or equal to 256"),
        ("migr_worker_vcpus", -1, "greater than or equal to 1"),
        ("data_transfer_mechanism", "ftp", "'https' or 'ssh'"),
        ("enable_vm_console_log", "perhaps", "valid boolean"),
        ("vm_console_log_dir", "log", "match pattern"),
        ("vnc_listen_address", "0.0.0", "IPv4 or IPv6"),
        ("windows_virtio_iso_url", "virtio-win.iso", "http or https URL"),
        ("cpu_mode", "host", "'host-passthrough'"),
        ("cpu_features", "x2apic,+AVX", "match pattern"),
        ("migr_worker_iface_addr_src", "dns", "'agent', 'lease' or 'arp'"),
        ("sqlite_database_file", "", "at least 1 character"),
    ],
)
def test_bad_value_is_named(
    kind: type[ProviderOptions | OptionOverrides], name: str, value: Any, reason: str
) -> None:
    with pytest.raises(OptionError, match=f"option {name}: .*{reason}"):
        kind.model_validate({name: value})


@pytest.mark.parametrize("kind", [ProviderOptions, OptionOverrides])
def test_typo_is_named_with_the_nearest_name(kind: type[ProviderOptions]) -> None:
    with pytest.raises(OptionError, match="unknown option “defualt_storage_pool”") as caught:
        kind.model_validate({"defualt_storage_pool": "x"})
    assert caught.value.hint == "did you mean default_storage_pool?"
    with pytest.raises(OptionError) as caught:
        kind.model_validate({"colour": "blue"})
    assert "did you mean" not in caught.value.hint


def test_all_objections_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        ProviderOptions.model_validate({"cpu_mode": "x", "migr_worker_vcpus": 0, "colour": "y"})
    for part in ("cpu_mode", "migr_worker_vcpus", "colour"):
        assert part in caught.value.message


@pytest.mark.parametrize("kind", [ProviderOptions, OptionOverrides])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("windows_virtio_iso_url", "https://mirror.example/virtio.iso"),
    ],
)
def test_what_is_not_built_is_refused(
    kind: type[ProviderOptions | OptionOverrides], name: str, value: Any
) -> None:
    assert name in NOT_BUILT
    with pytest.raises(OptionError, match=f"option {name}: .* not built yet"):
        kind.model_validate({name: value})
    default = OptionFields.model_fields[name].default
    assert getattr(kind.model_validate({name: default}), name) == default


def test_every_option_that_is_not_built_is_an_option() -> None:
    assert NOT_BUILT.keys() <= OptionFields.model_fields.keys()


def test_overrides_replace_what_they_set() -> None:
    options = ProviderOptions(default_storage_pool="a", migr_image_map={"linux": "deb.qcow2"})
    merged = options.with_overrides(
        OptionOverrides.model_validate(
            {"migr_worker_memory": 1024, "cpu_mode": "", "cpu_features": [], "set_dhcp": False}
        )
    )
    assert merged == options.model_copy(
        update={
            "migr_worker_memory": 1024,
            "cpu_mode": CpuMode.LIBVIRT_DEFAULT,
            "cpu_features": (),
            "set_dhcp": False,
        }
    )
    assert options.with_overrides(OptionOverrides()) == options


def test_overrides_inside_a_request_are_refused_alike() -> None:
    with pytest.raises(OptionError, match="option cpu_mode"):
        TransferRequest.model_validate(
            {"machine": "a", "source": "b", "destination": "c", "overrides": {"cpu_mode": "fast"}}
        )


def test_worker_image() -> None:
    options = ProviderOptions(migr_image_map={"linux": "deb.qcow2"})
    assert options.worker_image("linux") == "deb.qcow2"
    with pytest.raises(NotFoundError, match=r"no worker image for “windows” \(there are: linux\)"):
        options.worker_image("windows")


def test_options_survive_json_and_pickle() -> None:
    options = ProviderOptions(migr_image_map={"linux": "a", "windows": "b"}, cpu_features=())
    assert ProviderOptions.model_validate_json(options.model_dump_json()) == options
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 - our own
    assert ProviderOptions.model_validate(options.model_dump()) == options
