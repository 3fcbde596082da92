"""How the library of a macOS wheel registers unwind info, told from its bytes: no Mac is needed.

Wasmtime registered with libunwind function by function, until 50.0.0 began to look up libunwind's
calls for whole sections at run time (bytecodealliance/wasmtime#14304). A library makes only calls
whose names it holds. That is evidence of the way it takes, and no measurement.
"""

import tempfile
import zipfile
from pathlib import Path

from asv.util import UserError
from pypi_simple import DistributionPackage, PyPISimple

from scripts.releases.pins import FUNCTION, NO_WAY, SECTION

WAYS = {b"__unw_add_dynamic_eh_frame_section": SECTION, b"___register_frame": FUNCTION}


def registration(client: PyPISimple, wheel: DistributionPackage) -> str:
    """Download a macOS wheel and tell how its library registers unwind info.

    Raises:
        UserError: what the index sends is no wheel.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel.filename)
        client.download_package(wheel, path, timeout=60)
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".dylib")]
                libraries = [archive.read(name) for name in names]
        except zipfile.BadZipFile as error:
            raise UserError(f"{wheel.filename} is no wheel: {error}") from error
    ways = (way for name, way in WAYS.items() if any(name in library for library in libraries))
    return next(ways, NO_WAY)
