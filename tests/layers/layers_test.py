"""Holds every include of automodel/ to the layering that CMakeLists.txt declares.

    python3 tests/layers/layers_test.py build/layers.txt SOURCE_DIR

layers.txt is what automodel_room(NAME USES room... [TORCH]) wrote: a line "nn: base tensor kernels; torch" a room.
The first test reads the tree; the others plant a forbidden include into a copy and must see it caught at its line.
"""

import pathlib
import re
import shutil
import sys
import tempfile
import unittest

# A room may use rooms of lower floors only; rooms of one floor do not know each other.
FLOORS = {
    "base": 1,
    "tensor": 2, "config": 2, "net": 2,
    "kernels": 3, "tokenizer": 3, "mesh": 3,
    "nn": 4, "data": 4, "loss": 4, "optim": 4, "checkpoint": 4, "metrics": 4,
    "models": 5, "parallel": 5, "peft": 5, "quant": 5,
    "engine": 6, "generate": 6,
    "recipes": 7,
    "cli": 8,
}
# Model code knows nothing of ranks: what is parallel is a pass over a built model.
KNOW_NO_RANKS = ("nn", "models", "loss", "optim")
RANKS = re.compile(r"automodel/mesh/|c10d|torch/csrc/distributed")
TORCH = re.compile(r"(torch|ATen|c10|caffe2)/")
DEAR = ("torch/torch.h", "torch/all.h", "torch/extension.h", "ATen/ATen.h", "ATen/Functions.h")  # 10-20 s a source
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCES = (".h", ".cpp", ".cu", ".cuh")


def read_layers(path):
    """room -> (rooms it may include, may it include libtorch)"""
    layers = {}
    for line in pathlib.Path(path).read_text().splitlines():
        name, rest = line.split(":")
        uses, _, torch = rest.partition(";")
        layers[name] = (uses.split(), torch.strip() == "torch")
    return layers


def arrow_faults(layers, floors):
    for name, (uses, _) in layers.items():
        if name not in floors:
            yield f"{name} has no floor: add it to FLOORS in tests/layers/layers_test.py"
        for used in uses:
            if used not in layers:
                yield f"{name} USES {used}, which is not a room (CMakeLists.txt)"
            elif floors.get(used, 99) >= floors.get(name, 0):
                yield f"{name} (floor {floors.get(name)}) USES {used} (floor {floors.get(used)}): only lower floors may be used"


def include_fault(room, bracket, target, layers):
    """What is wrong with one include of `room`, or None."""
    uses, torch = layers[room]
    if target.startswith("automodel/"):
        other = target.split("/")[1]
        if other != room and other not in uses:
            return f"{room} may not include {other} (it may: {', '.join(uses) or 'no other room'})"
    elif bracket == '"':
        return f'"{target}" must be written from the root: "automodel/{room}/..."'
    if room in KNOW_NO_RANKS and RANKS.search(target):
        return f"{room} may not know of ranks ({target}); parallel/ and engine/ do"
    if target in DEAR:
        return f"<{target}> costs every source 10-20 s; include <ATen/ops/NAME.h> and <ATen/core/Tensor.h>"
    if TORCH.match(target) and not torch:
        return f"{room} may not include libtorch ({target}): its automodel_room() has no TORCH"
    return None


def include_faults(root, layers):
    """Every fault as "automodel/nn/rope.cpp:3: ..." """
    for path in sorted((root / "automodel").rglob("*")):
        if path.suffix not in SOURCES:
            continue
        where = path.relative_to(root).as_posix()
        room = where.split("/")[1]
        if room not in layers:
            yield f"{where}:1: {room} is not a room: CMakeLists.txt has no automodel_room({room} ...)"
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            fault = match and include_fault(room, match[1], match[2], layers)
            if fault:
                yield f"{where}:{number}: {fault}"


class Layers(unittest.TestCase):
    def test_the_arrows_point_down(self):
        self.assertGreater(len(LAYERS), 3)
        self.assertEqual(list(arrow_faults(LAYERS, FLOORS)), [])

    def test_every_include_keeps_to_the_arrows(self):
        faults = list(include_faults(ROOT, LAYERS))
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    def test_an_arrow_up_sideways_or_in_a_circle_is_caught(self):
        base_up = {**LAYERS, "base": (["tensor"], False)}
        self.assertIn("base (floor 1) USES tensor (floor 2): only lower floors may be used", list(arrow_faults(base_up, FLOORS)))
        sideways = {**LAYERS, "loss": (["optim"], True), "optim": (["loss"], True)}
        self.assertEqual(len(list(arrow_faults(sideways, FLOORS))), 2)

    def caught(self, room, include):
        """Plants the include as line 2 of a new source of the room, in a copy of the tree; returns the faults of that file."""
        with tempfile.TemporaryDirectory() as scratch:
            copy = pathlib.Path(scratch)
            shutil.copytree(ROOT / "automodel", copy / "automodel")
            planted = copy / "automodel" / room / "planted_test.cpp"
            planted.parent.mkdir(exist_ok=True)
            planted.write_text(f"// planted\n#include {include}\n")
            return [fault for fault in include_faults(copy, LAYERS) if "/planted_test.cpp:" in fault]

    def test_an_upward_include_is_caught_at_its_line(self):
        self.assertEqual(self.caught("base", '"automodel/recipes/finetune.h"'),
                         ["automodel/base/planted_test.cpp:2: base may not include recipes (it may: no other room)"])
        self.assertEqual(self.caught("tensor", '"automodel/nn/block.h"'),
                         ["automodel/tensor/planted_test.cpp:2: tensor may not include nn (it may: base)"])

    def test_ranks_torch_and_loose_paths_are_caught(self):
        for room, include, says in [
            ("nn", "<torch/csrc/distributed/c10d/Backend.hpp>", "may not know of ranks"),
            ("models", '"automodel/mesh/mesh.h"', "may not include mesh"),
            ("base", "<ATen/core/Tensor.h>", "may not include libtorch"),
            ("nn", "<torch/torch.h>", "costs every source"),
            ("nn", '"rope.h"', "must be written from the root"),
        ]:
            with self.subTest(include=include):
                faults = self.caught(room, include)
                self.assertEqual(len(faults), 1)
                self.assertIn(f"{room}/planted_test.cpp:2: ", faults[0])
                self.assertIn(says, faults[0])

    def test_a_permitted_include_passes(self):
        self.assertEqual(self.caught("tensor", '"automodel/base/error.h"'), [])
        self.assertEqual(self.caught("base", "<vector>"), [])


if __name__ == "__main__":
    LAYERS, ROOT = read_layers(sys.argv[1]), pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
