"""The compiled part, which is optional: without a compiler all installs and works, only slower.

Everything else about the package stands in pyproject.toml.
"""

from __future__ import annotations

import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# One build for every Python from 3.11 on; those without the lock have no stable interface yet.
STABLE = not sysconfig.get_config_var("Py_GIL_DISABLED")


class BuildKernel(build_ext):
    """Build with what each compiler calls: fast, but not a bit different."""

    def build_extension(self, ext: Extension) -> None:
        """Add the flags of the compiler that was found."""
        if self.compiler.compiler_type != "msvc":
            # No products fused with sums: vectors, and the pixels left over, agree to the bit on
            # every processor. Errno, traps, NaN and the sign of zero keep choices and square
            # roots from being vectorized, and no place in memory depends on them.
            ext.extra_compile_args += [
                "-std=c99",
                "-O3",
                "-g0",
                "-ffp-contract=off",
                "-ffinite-math-only",
                "-fno-math-errno",
                "-fno-signed-zeros",
                "-fno-trapping-math",
            ]
        super().build_extension(ext)


setup(
    ext_modules=[
        Extension(
            "photochrom.color._kernel",
            ["src/photochrom/color/_kernel.c"],
            depends=["src/photochrom/color/_kernel.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE else [],
            py_limited_api=STABLE,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernel},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
