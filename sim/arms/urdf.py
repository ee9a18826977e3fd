"""URDF files as MuJoCo models of which nothing is lost: every link stays a body, and what is drawn stays drawn."""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import mujoco

HIDDEN_GROUP = 3
"""MuJoCo draws geom groups 0 to 2; the shapes of contacts go here where a link has others to be seen."""
MESH_FORMATS = (".stl", ".obj", ".msh")
"""What MuJoCo reads; visuals in other formats, such as .dae, are left out, and contact shapes are seen instead."""
PACKAGE = "package://"
LEVELS_UP = 4
"""How far above the file a package's root is looked for."""


def load_urdf(path: Path) -> mujoco.MjSpec:
    """Read a URDF; where it has a <mujoco><compiler> element of its own, what that says is kept.

    Meshes are looked for relative to the file, and those of package:// also relative to the folders above it. Two links
    that a joint connects never touch each other; MuJoCo has that by itself, but for links on a base that stands still.

    Raises:
        OSError, ValueError, ParseError: the file or a mesh is not there, it is no XML, or MuJoCo cannot read it.
    """
    # Expat itself bounds what entities grow to, and reads no external ones.
    root = fromstring(path.read_text(encoding="utf-8"))  # noqa: S314
    extension = root.find("mujoco")
    extension = SubElement(root, "mujoco") if extension is None else extension
    compiler = extension.find("compiler")
    compiler = SubElement(extension, "compiler") if compiler is None else compiler
    if "meshdir" in compiler.attrib:
        compiler.set("meshdir", str(path.parent.resolve() / compiler.attrib["meshdir"]))
    else:
        _find_meshes(root, path.parent.resolve())
        compiler.set("strippath", "false")
    for name in ("discardvisual", "fusestatic"):
        compiler.set(name, compiler.get(name, "false"))
    spec = mujoco.MjSpec.from_string(tostring(root, encoding="unicode"))
    _tidy(spec)
    return spec


def _find_meshes(root: Element, folder: Path) -> None:
    for link in root.iter("link"):
        for visual in link.findall("visual"):
            mesh = visual.find("geometry/mesh")
            if mesh is not None and Path(mesh.get("filename", "")).suffix.lower() not in MESH_FORMATS:
                link.remove(visual)
        for mesh in link.iter("mesh"):
            mesh.set("filename", str(_mesh_file(mesh.get("filename", ""), folder)))


def _mesh_file(name: str, folder: Path) -> Path:
    plain = name.removeprefix("file://")
    places = [folder / plain]
    if name.startswith(PACKAGE):
        package, _, rest = name.removeprefix(PACKAGE).partition("/")
        above = (folder, *folder.parents)[:LEVELS_UP]
        places = [parent / tail for parent in above for tail in (rest, f"{package}/{rest}")]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"mesh {name!r} is not there; looked for it as " + ", ".join(str(p) for p in places))


def _tidy(spec: mujoco.MjSpec) -> None:
    for body in spec.bodies[1:]:
        touching = [geom for geom in body.geoms if geom.contype or geom.conaffinity]
        if len(touching) < len(body.geoms):
            for geom in touching:
                geom.group = HIDDEN_GROUP
        if len(body.joints) and not len(body.parent.joints) and body.parent.name != "world":
            spec.add_exclude(bodyname1=body.parent.name, bodyname2=body.name)
