"""The exact wheels that the embedded server is made of: names, versions, sizes and hashes, and nothing that acts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    """One wheel of the Python Package Index, for Linux on x86_64."""

    name: str
    version: str
    #: Size of the file in bytes, for progress only.
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        """The line that makes pip fetch exactly this file."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Release:
    """One release of Triton that can be embedded."""

    #: The server's own word for its version, for example "2.48.0".
    version: str
    #: tritonserver with its Python backend.
    wheel: Wheel
    #: The Pythons that its Python backend has a stub for, of those that PACKAGES has packages for.
    pythons: tuple[tuple[int, int], ...]
    #: What is wrong with it, as far as the stress test or its users have met it: a sentence each.
    defects: tuple[str, ...] = ()


def _pytriton(version: str, size: int, sha256: str) -> Wheel:
    return Wheel("nvidia-pytriton", version, size, sha256)


_STREAM_CRASH = (
    "It can crash while it answers streams, most of all cancelled ones and those of a decoupled model beside sequences "
    "(issues 7368, 7877 and 8034 of its server); the options that the embedded server is started with make that rarer."
)
_BUSY_CRASH = (
    "Its Python backend can abort on a machine that is very busy (boost::interprocess::lock_exception). A start is "
    "tried again; in mid-run it is rare where root runs it, or `ulimit -r 1` allows real-time priority."
)

#: The releases by their short names, oldest first.
RELEASES = {
    "2.39": Release(
        "2.39.0",
        _pytriton("0.4.2", 40_238_634, "8f79e8bda28961a49d5c64474c17664e10b1bb08018b7ee7bcbd81bcff86e266"),
        ((3, 10), (3, 11)),
        (_BUSY_CRASH,),
    ),
    "2.41": Release(
        "2.41.0",
        _pytriton("0.5.0", 39_904_868, "f46a3c03fb0893948f57c1d5470998a6f403f2c8036d7af944c817a8fba31a46"),
        ((3, 10), (3, 11)),
    ),
    "2.44": Release(
        "2.44.0",
        _pytriton("0.5.5", 52_766_799, "986ee75b8fb67bba9e3b0058bd5ff3981b17be3b88e178b0b60971d89ba42a63"),
        ((3, 10), (3, 11), (3, 12)),
    ),
    "2.48": Release(
        "2.48.0",
        _pytriton("0.5.10", 41_258_337, "0c08d905d25ad71e887864625ec9e2692e6cb4a746c32c93e332e5c8476bc669"),
        ((3, 10), (3, 11), (3, 12)),
        (_BUSY_CRASH,),
    ),
    "2.51": Release(
        "2.51.0",
        _pytriton("0.7.0", 55_369_373, "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df"),
        ((3, 10), (3, 11), (3, 12), (3, 13)),
        (_STREAM_CRASH, _BUSY_CRASH),
    ),
}
#: The one that runs where none is asked for.
NEWEST = "2.51"

#: The last wheels with a perf_analyzer that needs no newer glibc than the server does.
TRITONCLIENT = Wheel(
    "tritonclient", "2.51.0", 13_956_700, "c485bb0123bdf310f90bc8b03d3489b28df2ffed55b30c7eee0b795b48113d52"
)
#: libcudart, which perf_analyzer is linked to even where there is no GPU.
CUDA_RUNTIME = Wheel(
    "nvidia-cuda-runtime-cu12", "12.9.79", 3_493_179, "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3"
)
PERF_ANALYZER = (TRITONCLIENT, CUDA_RUNTIME)

_PROTOBUF = Wheel("protobuf", "7.36.2", 343_223, "89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2")
_TYPING_EXTENSIONS = Wheel(
    "typing_extensions", "4.16.0", 45_571, "481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8"
)
_ONNX_ABI3 = Wheel("onnx", "1.23.2", 8_881_633, "7abf381d278f31ac62487fddedc9dd42da842dce94d5d43536836ee3efdf4a2b")

#: What the server's own Python holds, by Python version: numpy and onnxruntime to serve, onnx and what it imports
#: to build the image model. The last onnxruntime for Python 3.10 is 1.23. numpy 1 where there is one for the Python:
#: the stubs are built against it, and under numpy 2 `as_numpy()` and `Tensor(name, array)` give a model empty data.
PACKAGES = {
    (3, 10): (
        Wheel("ml_dtypes", "0.5.4", 5_030_369, "388d399a2152dd79a3f0456a952284a99ee5c93d3e2f8dfe25977511e0515270"),
        Wheel("numpy", "1.26.4", 18_240_889, "ffa75af20b44f8dba823498024771d5ac50620e6915abac414251bd971b4529f"),
        Wheel("onnx", "1.23.2", 8_886_659, "03334d6c834767c7acd37c7db51c98e98c8ceb61a964f6df96386e13272d2870"),
        Wheel("onnxruntime", "1.23.2", 17_370_357, "4ca88747e708e5c67337b0f65eed4b7d0dd70d22ac332038c9fc4635760018f7"),
        _PROTOBUF,
        _TYPING_EXTENSIONS,
    ),
    (3, 11): (
        Wheel("ml_dtypes", "0.5.4", 5_034_975, "19b9a53598f21e453ea2fbda8aa783c20faff8e1eeb0d7ab899309a0053f1483"),
        Wheel("numpy", "1.26.4", 18_252_005, "666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5"),
        Wheel("onnx", "1.23.2", 8_886_609, "c03ecf6b835d136108eeaeeafbd0026fc7b3cf98661409fbc6b63d5a29361348"),
        Wheel("onnxruntime", "1.32.0", 27_773_237, "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d"),
        _PROTOBUF,
        _TYPING_EXTENSIONS,
    ),
    (3, 12): (
        Wheel("ml_dtypes", "0.5.4", 5_009_002, "9ad459e99793fa6e13bd5b7e6792c8f9190b4e5a1b45c63aba14a4d0a7f1d5ff"),
        Wheel("numpy", "1.26.4", 17_950_613, "675d61ffbfa78604709862923189bad94014bef562cc35cf61d3a07bba02a7ed"),
        _ONNX_ABI3,
        Wheel("onnxruntime", "1.32.0", 27_780_211, "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8"),
        _PROTOBUF,
        _TYPING_EXTENSIONS,
    ),
    (3, 13): (
        Wheel("ml_dtypes", "0.6.0", 410_169, "26b1f1fa4f0435a2946859823f6e2bf06796f1e9f10f5a05b08a5e3c8f46ff69"),
        Wheel("numpy", "2.5.5", 15_713_899, "824025655df929268bfe6b47ed91a00d14209a6f760847cf150be446829e1ce4"),
        _ONNX_ABI3,
        Wheel("onnxruntime", "1.32.0", 27_780_404, "02ea12a28c069ea8510093d95a7f6ff8126bfd9fc5c0d3381c03b80fb2b424ba"),
        _PROTOBUF,
        _TYPING_EXTENSIONS,
    ),
}


#: How folders are filled from wheels. Changed with that, so that none is used that was filled in another way.
_FILLED = "with a manifest"


def fingerprint(wheels: tuple[Wheel, ...]) -> str:
    """Twelve hex digits that change when any of `wheels` does; part of the name of the folder they are unpacked in."""
    return short_hash("".join([_FILLED, *(wheel.sha256 for wheel in wheels)]))


def short_hash(text: str) -> str:
    """Twelve hex digits that stand for `text` in a folder's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
