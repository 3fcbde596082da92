"""Read and write `fixtures/macos_libunwind.json`: what Apple's SDKs say about macOS's libunwind.

An SDK lists what each library of its macOS exports. The `ziglang` wheels carry these lists, and
`update_sdks` reads them from there, so no Mac is needed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, TypedDict, get_args

from asv.util import UserError
from msgspec import Meta

from scripts.base.files import write_atomically
from scripts.base.schema import describe_error, read_json, suggest_restore
from scripts.releases.pins import Sha256

SDKS = Path("fixtures/macos_libunwind.json")

MacosVersion = tuple[int, ...]  # 13.3 is (13, 3)
Processor = Literal["x86_64", "arm64"]
# They add one FDE, a section, and a callback that the unwinder asks for sections. Each has a
# counterpart that removes it again, and SDKs list both or neither.
Function = Literal[
    "__unw_add_dynamic_fde",
    "__unw_add_dynamic_eh_frame_section",
    "__unw_add_find_dynamic_unwind_sections",
]
Source = Literal["SDKSettings.json", "AvailabilityVersions.h", "Availability.h"]
Numbers = Annotated[str, Meta(pattern=r"\A\d{1,5}(\.\d{1,5}){0,3}\Z")]
WheelName = Annotated[str, Meta(pattern=r"\Aziglang-[\w.]{1,30}-py3-none-[\w.]{1,150}\.whl\Z")]
WheelVersion = Annotated[str, Meta(pattern=r"\A\d{1,4}(\.\d{1,4}){2}(\.post\d{1,4})?\Z")]


@dataclass(frozen=True)
class Sdk:
    """What a macOS SDK says about libunwind.

    Attributes:
        macos: the macOS version of the SDK, such as `13.3`.
        source: the file that states it. Headers name all versions they know: `macos` is the newest.
        libsystem: version of libSystem, to which libunwind belongs.
        libunwind: version of libunwind.
        functions: whether libunwind has a function, by processor. An SDK may know one processor.
    """

    macos: Numbers
    source: Source
    libsystem: Numbers
    libunwind: Numbers
    functions: dict[Processor, dict[Function, bool]]

    @property
    def version(self) -> MacosVersion:
        """The macOS version as numbers."""
        return tuple(int(number) for number in self.macos.split("."))

    def has_function(self, function: Function) -> bool | None:
        """Return whether libunwind has a function, or None if that depends on the processor."""
        answers = {functions[function] for functions in self.functions.values()}
        return answers.pop() if len(answers) == 1 else None


@dataclass(frozen=True)
class Wheel:
    """A `ziglang` wheel that was read.

    Attributes:
        name: the file name.
        version: the version of ziglang.
        sha256: the hash of the file.
        sdks: the SDKs that no older wheel carries.
    """

    name: WheelName
    version: WheelVersion
    sha256: Sha256
    sdks: list[Sdk]


class SdkFile(TypedDict):
    """Schema of `fixtures/macos_libunwind.json`."""

    wheels: list[Wheel]


def load_wheels(path: Path = SDKS) -> list[Wheel]:
    """Read the wheels and their SDKs, in the order in which they were added.

    Raises:
        UserError: the file is missing, or damaged.
    """
    remedy = suggest_restore(SDKS)
    wheels = read_json(path, SdkFile, remedy)["wheels"]
    try:
        check_wheels(wheels)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({describe_error(error)}). {remedy}") from error
    return wheels


def check_wheels(wheels: Sequence[Wheel]) -> None:
    """Raise ValueError if there is no SDK, an SDK occurs twice, or a function is not stated."""
    sdks = [sdk for wheel in wheels for sdk in wheel.sdks]
    if not sdks:
        raise ValueError("it has no SDK")
    for identities in (
        [wheel.version for wheel in wheels],
        [(sdk.libsystem, sdk.libunwind) for sdk in sdks],
    ):
        if len(set(identities)) < len(identities):
            raise ValueError("a wheel or an SDK occurs twice")
    for sdk in sdks:
        stated = [set(functions) for functions in sdk.functions.values()]
        if not stated or any(names != set(get_args(Function)) for names in stated):
            raise ValueError(f"macOS {sdk.macos} does not state each function")


def list_sdks(wheels: Sequence[Wheel]) -> list[Sdk]:
    """Return the SDKs of all wheels, the oldest macOS first."""
    return sorted((sdk for wheel in wheels for sdk in wheel.sdks), key=lambda sdk: sdk.version)


def save_wheels(wheels: Sequence[Wheel], path: Path = SDKS) -> None:
    """Write the wheels and their SDKs atomically.

    Raises:
        ValueError: see `check_wheels`.
    """
    check_wheels(wheels)
    text = json.dumps({"wheels": [asdict(wheel) for wheel in wheels]}, indent=1) + "\n"
    write_atomically(path, text)
