"""How to turn unwind info off, in each language that Wasmtime can be embedded in."""

from typing import NamedTuple

from scripts.site.links import WASMTIME

BYTECODE_ALLIANCE = WASMTIME.rsplit("/", 1)[0]
PULL = f"{WASMTIME}/pull"
CONFIG_PY = f"{BYTECODE_ALLIANCE}/wasmtime-py/blob/main/wasmtime/_config.py"
BINDING_PY = "wasmtime._bindings.wasmtime_config_native_unwind_info_set"


class Setting(NamedTuple):
    """A line of code that turns unwind info off.

    Attributes:
        key: the name of the language in links. The same language has several settings if
            its code differs by release.
        language: the display name.
        code: the line.
        source: the address of its definition, where it was looked up.
        on_mac: a line before it that limits it to macOS, if the language has one.
        first, last: the major releases of Wasmtime that it is for; 0 means no limit.
    """

    key: str
    language: str
    code: str
    source: str
    on_mac: str = ""
    first: int = 0
    last: int = 0

    @property
    def releases(self) -> str:
        """The releases that it is for, or nothing if it is for all."""
        if self.first and self.last:
            return f"{self.first} to {self.last}"
        return f"{self.first} and later" if self.first else ""


SETTINGS = [
    Setting(
        "rust", "Rust", "config.native_unwind_info(false);", f"{PULL}/4643",
        on_mac='#[cfg(target_os = "macos")]',
    ),
    Setting(
        "c", "C", "wasmtime_config_native_unwind_info_set(config, false);", f"{PULL}/6896", first=13
    ),
    Setting(
        "cpp", "C++", "config.native_unwind_info(false);",
        f"{WASMTIME}/blob/main/crates/c-api/include/wasmtime/config.hh",
    ),
    Setting("python", "Python", "config.native_unwind_info = False", CONFIG_PY, first=45),
    Setting(
        "python", "Python", f"{BINDING_PY}(config.ptr(), False)", CONFIG_PY, first=18, last=44
    ),
    Setting("python", "Python", f"{BINDING_PY}(config._ptr, False)", CONFIG_PY, first=13, last=17),
    Setting(
        "go", "Go", "config.SetNativeUnwindInfo(false)",
        f"{BYTECODE_ALLIANCE}/wasmtime-go/blob/main/config.go",
    ),
    Setting(
        "dotnet", ".NET", "config.WithUnwindInfo(false);",
        f"{BYTECODE_ALLIANCE}/wasmtime-dotnet/blob/main/src/Config.cs",
    ),
    Setting(
        "ruby", "Ruby", "Wasmtime::Engine.new(native_unwind_info: false)",
        f"{BYTECODE_ALLIANCE}/wasmtime-rb/blob/main/ext/src/ruby_api/engine.rs",
    ),
    Setting(
        "cli", "Command line", "wasmtime run -C native-unwind-info=n my_module.wasm",
        f"{PULL}/9494", first=27,
    ),
]  # fmt: skip
