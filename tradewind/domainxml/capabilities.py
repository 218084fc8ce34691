# SPDX-License-Identifier: Apache-2.0
"""What a host offers, from its two capability documents.

Formats: https://libvirt.org/formatcaps.html (the host), https://libvirt.org/formatdomaincaps.html
(one emulator with one machine type and one kind of acceleration).
"""

from dataclasses import dataclass

from tradewind.domainxml.document import E, Element, attribute, parse, text_at, to_text


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """`architecture` is libvirt's word for the host's CPU; `kvm` whether libvirt offers KVM for it.

    /dev/kvm can open and still run nothing: this says only what libvirt believes. `machine_types`
    are those of guests of this architecture, each once.
    """

    architecture: str
    kvm: bool
    machine_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DomainCapabilities:
    """What a new domain may have; `machine_type` is canonical ("pc-q35-7.2" for "q35").

    `host_model_cpu` is a <cpu> document for virConnectBaselineHypervisorCPU, whose answer (with
    EXPAND_FEATURES) `cpu_features` reads: this document names only what its model lacks.
    `loaders` are files of firmware; `most_vcpus` is 0 where it is not said. `backups` is false
    where libvirt refuses every backup job unless the domain asks for the capability.
    """

    kvm: bool
    emulator: str
    machine_type: str
    cpu_modes: tuple[str, ...]
    host_model_cpu: str | None
    uefi: bool
    secure_boot: bool
    tpm: bool
    disk_buses: tuple[str, ...] = ()
    loaders: tuple[str, ...] = ()
    most_vcpus: int = 0
    backups: bool = True


def parse_host_capabilities(xml: str) -> HostCapabilities:
    """Read what virConnectGetCapabilities returns."""
    document = parse(xml)
    architecture = text_at(document, "host/cpu/arch")
    same = [arch for arch in document.iterfind("guest/arch") if arch.get("name") == architecture]
    kinds = {domain.get("type") for arch in same for domain in arch.iterfind("domain")}
    machines = (machine.text or "" for arch in same for machine in arch.iter("machine"))
    return HostCapabilities(
        architecture=architecture,
        kvm="kvm" in kinds,
        machine_types=tuple(dict.fromkeys(machines)),
    )


def security_models(xml: str) -> tuple[str, ...]:
    """Name the security modules that libvirt uses on a host, from what GetCapabilities returns."""
    return tuple(text_at(model, "model") for model in parse(xml).iterfind("host/secmodel"))


def parse_domain_capabilities(xml: str) -> DomainCapabilities:
    """Read what virConnectGetDomainCapabilities returns."""
    document = parse(xml)
    return DomainCapabilities(
        kvm=text_at(document, "domain") == "kvm",
        emulator=text_at(document, "path"),
        machine_type=text_at(document, "machine"),
        cpu_modes=tuple(
            mode.get("name", "")
            for mode in document.iterfind("cpu/mode")
            if mode.get("supported") == "yes"
        ),
        host_model_cpu=_host_model(document),
        uefi="efi" in _values(document, "os", "firmware"),
        secure_boot="yes" in _values(document, "os/loader", "secure"),
        tpm=_has_tpm(document),
        disk_buses=_values(document, "devices/disk", "bus"),
        loaders=tuple(value.text or "" for value in document.iterfind("os/loader/value")),
        most_vcpus=int(attribute(document, "vcpu", "max") or 0),
        backups=attribute(document, "features/backup", "supported") != "no",
    )


def cpu_features(cpu_xml: str) -> tuple[str, ...]:
    """Name what an expanded <cpu> document has, sorted."""
    features = parse(cpu_xml).iterfind("feature")
    return tuple(
        sorted(item.get("name", "") for item in features if item.get("policy") != "disable")
    )


def _host_model(document: Element) -> str | None:
    mode = document.find("cpu/mode[@name='host-model'][@supported='yes']")
    return None if mode is None else to_text(E.cpu(*mode))


def _has_tpm(document: Element) -> bool:
    return (
        attribute(document, "devices/tpm", "supported") == "yes"
        and "tpm-crb" in _values(document, "devices/tpm", "model")
        and "emulator" in _values(document, "devices/tpm", "backendModel")
    )


def _values(document: Element, path: str, enum: str) -> tuple[str, ...]:
    values = document.iterfind(f"{path}/enum[@name='{enum}']/value")
    return tuple(value.text or "" for value in values)
