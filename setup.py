"""Maps the folders at the top of the tree into the one import root `tfgen`."""

from setuptools import find_namespace_packages, setup


def below(folder: str, root: str) -> list[str]:
    """Returns the packages of a top-level folder as packages below `root`."""
    return [root, *(f"{root}.{name}" for name in find_namespace_packages(folder))]


setup(
    packages=[*below("tfgen", "tfgen"), *below("zoo", "tfgen.zoo"), *below("export", "tfgen.export")],
    package_dir={"tfgen": "tfgen", "tfgen.zoo": "zoo", "tfgen.export": "export"},
)
