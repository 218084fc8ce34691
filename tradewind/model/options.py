# SPDX-License-Identifier: Apache-2.0
"""The provider options: section [libvirt_migration_provider], the same everywhere.

One definition serves the record, the overrides of one transfer, the INI file and the Prefect
block. Every refusal is an OptionError that names the option.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tradewind.errors import NotFoundError, OptionError
from tradewind.model.deploy import CpuMode
from tradewind.model.form import Folded
from tradewind.model.host import WorkerAddressSource
from tradewind.model.option_refusal import in_words
from tradewind.model.option_types import (
    AbsolutePath,
    DataTransferMechanism,
    FeatureNames,
    Gigabytes,
    ImageMap,
    IpAddress,
    Megabytes,
    OptionalText,
    Text,
    VcpuCount,
    WebAddress,
)
from tradewind.model.record import Record

# Options whose effect is still to be built: anything but their default is refused.
NOT_BUILT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "windows_virtio_iso_url": "adapting Windows is not built yet",
    }
)

# What no single run may set: who may start runs may not choose where the ledger is, which file of
# the controller is a key, or where QEMU of the host writes.
NOT_FOR_ONE_RUN: Final = frozenset({"sqlite_database_file", "ssh_key_path", "vm_console_log_dir"})

_VIRTIO_WIN: Final = (
    "https://fedorapeople.org/groups/virt/virtio-win/direct-downloads/stable-virtio/virtio-win.iso"
)


class OptionFields(BaseModel):
    """All options with names, defaults and meanings; sizes are GiB and MiB of the worker."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    default_storage_pool: OptionalText = Field(
        None,
        title="Default storage pool",
        description="Pool that receives the volumes which no storage map places.",
    )
    migr_image_map: ImageMap = Field(
        default_factory=dict,
        title="Worker images",
        description="Worker image volume for each OS family, as os:volume,os2:volume2 "
        "(for example linux:tradewind-worker.qcow2). The volume lies in a dir pool.",
    )
    migr_worker_volume_size: Gigabytes = Field(
        25, title="Worker boot volume", description="Size of the worker's boot volume in GB."
    )
    migr_worker_memory: Megabytes = Field(
        4096, title="Worker memory", description="Memory of the worker in MB."
    )
    migr_worker_vcpus: VcpuCount = Field(
        2, title="Worker vCPUs", description="Number of virtual CPUs of the worker."
    )
    migr_worker_network: OptionalText = Field(
        None,
        title="Worker network",
        description="Existing libvirt network that workers are plugged into.",
    )
    data_transfer_mechanism: DataTransferMechanism = Field(
        DataTransferMechanism.HTTPS,
        title="Data transfer mechanism",
        description="How the data reaches the worker: https with mutual TLS (TCP port 8677), or "
        "ssh (TCP port 22, nothing else).",
    )
    enable_vm_console_log: bool = Field(
        True,
        title="Log the console",
        description="Write the machine's serial console to a file on the host.",
    )
    vm_console_log_dir: AbsolutePath = Field(
        "/var/log/libvirt/qemu",
        title="Console log folder",
        description="Folder on the host that receives the console logs.",
    )
    enable_vm_vnc_console: bool = Field(
        False,
        title="VNC console",
        description="Give the machine a VNC console; its port is chosen automatically.",
    )
    vnc_listen_address: IpAddress = Field(
        "0.0.0.0",  # noqa: S104 - the default that the specification gives
        title="VNC listen address",
        description="Address of the host that VNC consoles listen on; 0.0.0.0 is every address, "
        "where a console without a password (Guest Secrets) is open to everybody.",
    )
    windows_virtio_iso_url: WebAddress = Field(
        _VIRTIO_WIN,
        title="VirtIO drivers for Windows",
        description="URL of the ISO with the VirtIO drivers that Windows machines receive.",
    )
    set_dhcp: bool = Field(
        True,
        title="Set DHCP",
        description="Configure the guest's network interfaces for DHCP while it is adapted.",
    )
    use_config_drive: bool = Field(
        False,
        title="Config drive",
        description="Give the migrated machine its metadata on a config drive.",
    )
    retain_user_credentials: bool = Field(
        True,
        title="Retain user credentials",
        description="Configure cloud-init so that users, SSH authentication and key pairs stay "
        "as they were.",
    )
    cpu_mode: CpuMode = Field(
        CpuMode.HOST_PASSTHROUGH,
        title="CPU mode",
        description="Libvirt's CPU mode of created machines; with libvirt-default (in an INI "
        "file also: nothing) libvirt decides.",
    )
    cpu_migratable: bool = Field(
        True,
        title="Migratable CPU",
        description="Leave out the CPU features that block live migration.",
    )
    cpu_features: FeatureNames = Field(
        ("rdtscp", "invtsc", "x2apic"),
        title="CPU features",
        description="CPU features that created machines require.",
    )
    migr_worker_iface_addr_src: WorkerAddressSource = Field(
        WorkerAddressSource.AGENT,
        title="Source of the worker's address",
        description="Source of the worker's address: its guest agent, the DHCP lease, or the "
        "host's ARP table.",
    )
    ssh_key_path: OptionalText = Field(
        None,
        title="SSH key",
        description="Path of the SSH key for libvirt hosts whose endpoint carries none.",
    )
    sqlite_database_file: Text = Field(
        "/opt/coriolis/libvirt_provider_db.sqlite",
        title="Ledger",
        description="SQLite file that remembers transfers and replicas; any SQLAlchemy URL does "
        "too.",
    )
    add_tpm_device: bool = Field(
        True, title="TPM", description="Give created machines a persistent TPM 2.0."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_by_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn what pydantic objects to into the project's own error (not a ValueError)."""
        with in_words(cls.model_fields):
            return handler(value)

    @model_validator(mode="after")
    def _refuse_not_built(self) -> Self:
        refuse_not_built({name: getattr(self, name) for name in NOT_BUILT})
        return self


class ProviderOptions(OptionFields, Record):
    """The options of one transfer or deployment, complete and checked."""

    def worker_image(self, os: str) -> str:
        """Name the worker image for an OS family; NotFoundError names the ones there are."""
        if os not in self.migr_image_map:
            there = ", ".join(self.migr_image_map) or "none"
            raise NotFoundError(
                f"option migr_image_map names no worker image for “{os}” (there are: {there})",
                f"add {os}:<volume> to it; `tradewind worker-image stage` makes one",
                evidence=f"migr_image_map in the provider options: {there}",
            )
        return self.migr_image_map[os]

    def with_overrides(self, overrides: "OptionOverrides") -> "ProviderOptions":
        """Replace the options that the overrides set."""
        return ProviderOptions.model_validate(
            {**self.model_dump(), **overrides.model_dump(exclude_none=True)}
        )


def _same(name: str) -> Any:
    """Make the optional twin of an option."""
    field = OptionFields.model_fields[name]
    return Field(None, title=field.title, description=field.description)


class OptionOverrides(Record, title="options of its own"):
    """Options that differ for one transfer; what stays empty is as the provider options say."""

    default_storage_pool: OptionalText = _same("default_storage_pool")
    migr_image_map: ImageMap | None = _same("migr_image_map")
    migr_worker_volume_size: Gigabytes | None = _same("migr_worker_volume_size")
    migr_worker_memory: Megabytes | None = _same("migr_worker_memory")
    migr_worker_vcpus: VcpuCount | None = _same("migr_worker_vcpus")
    migr_worker_network: OptionalText = _same("migr_worker_network")
    data_transfer_mechanism: DataTransferMechanism | None = _same("data_transfer_mechanism")
    enable_vm_console_log: bool | None = _same("enable_vm_console_log")
    vm_console_log_dir: AbsolutePath | None = _same("vm_console_log_dir")
    enable_vm_vnc_console: bool | None = _same("enable_vm_vnc_console")
    vnc_listen_address: IpAddress | None = _same("vnc_listen_address")
    windows_virtio_iso_url: WebAddress | None = _same("windows_virtio_iso_url")
    set_dhcp: bool | None = _same("set_dhcp")
    use_config_drive: bool | None = _same("use_config_drive")
    retain_user_credentials: bool | None = _same("retain_user_credentials")
    cpu_mode: CpuMode | None = _same("cpu_mode")
    cpu_migratable: bool | None = _same("cpu_migratable")
    cpu_features: FeatureNames | None = _same("cpu_features")
    migr_worker_iface_addr_src: WorkerAddressSource | None = _same("migr_worker_iface_addr_src")
    ssh_key_path: OptionalText = _same("ssh_key_path")
    sqlite_database_file: Text | None = _same("sqlite_database_file")
    add_tpm_device: bool | None = _same("add_tpm_device")

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_by_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        with in_words(cls.model_fields):
            return handler(value)

    @model_validator(mode="after")
    def _refuse_not_built(self) -> Self:
        refuse_not_built(self.model_dump(include=set(NOT_BUILT), exclude_none=True))
        return self

    @model_validator(mode="after")
    def _refuse_what_is_for_all_runs(self) -> Self:
        for name in sorted(NOT_FOR_ONE_RUN):
            if getattr(self, name) is not None:
                raise OptionError(
                    f"option {name}: no single run may set it (overrides)",
                    f"set it in the provider options block: tradewind options set {name}=…",
                )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Leave out of forms what nobody can set to anything."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        fields = handler.resolve_ref_schema(schema)["properties"]
        for name in NOT_BUILT.keys() | NOT_FOR_ONE_RUN:
            fields.pop(name, None)
        return schema

    @model_serializer(mode="wrap")
    def _say_what_is_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is as the options say; a flow's schema takes no null for a choice."""
        said: dict[str, Any] = handler(self)
        return {name: value for name, value in said.items() if value is not None}


Overrides = Annotated[OptionOverrides, Folded("as the provider options say")]


def refuse_not_built(values: Mapping[str, Any]) -> None:
    """Raise OptionError for the first option that is set to something that is not built yet."""
    for name, value in values.items():
        default = OptionFields.model_fields[name].default
        if value != default:
            raise OptionError(
                f"option {name}: {NOT_BUILT[name]}, so only its default is accepted",
                f"leave it out, or set it to {str(default).lower()}",
            )
