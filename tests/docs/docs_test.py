"""Holds the documents to the program and the tree.

    python3 tests/docs/docs_test.py PROGRAM SOURCE_DIR

Every ```sh block of README.md, CONTRIBUTING.md, docs/*.md and bench/*.md is run, in the order of its page, in a folder of the page's own
that holds configs/, assets/, bench/ and build/bin/automodel. A comment on the line before a block changes that:

    <!-- needs: root, network | why -->   not run; needs are root, network, gpu, slow, build, bench
    <!-- exit: 2 -->                      must end with this code
    <!-- add: --a.b.c 1 | why -->         run with these arguments after each command that trains
    <!-- file: PATH -->                   the block is that file, apart from spaces (exactly, for YAML)

/path/to/model in a command stands for a model of the reader's own: the bundled one is taken.

YAML blocks that name a recipe are checked by `automodel check`. Links must lead somewhere; a link whose text is code, like
[`Adam::step`](../automodel/optim/adam.cpp), names something that is in the file.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

NEEDS = ("root", "network", "gpu", "slow", "build", "bench")
OWN_MODEL = ("/path/to/model", "assets/quickstart/model")
FENCE = re.compile(r"^\s*```(\w*)\s*$")
MARK = re.compile(r"^\s*<!--\s*(needs|exit|add|file):\s*(.*?)\s*-->$")
LINK = re.compile(r"\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:automodel|assets|bench|cmake|configs|docs|tests|tools)/[\w./*-]+)`")
LIMIT_S = 300  # of a block; it takes seconds on a machine that is not crowded


def pages():
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    return found + sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("bench/*.md"))


class Block:
    def __init__(self, page, line, language, marks):
        self.page, self.line, self.language, self.marks, self.lines = page, line, language, marks, []

    @property
    def text(self):
        return textwrap.dedent("\n".join(self.lines)) + "\n"

    @property
    def where(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page):
    """Its fenced blocks, each with the marks of the comment lines right before it."""
    blocks, open_block, marks = [], None, {}
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence, mark = FENCE.match(line), MARK.match(line)
        if open_block is not None:
            if fence:
                blocks.append(open_block)
                open_block = None
            else:
                open_block.lines.append(line)
        elif fence:
            open_block, marks = Block(page, number, fence[1], marks), {}
        else:
            marks = {**marks, mark[1]: mark[2]} if mark else {}
    if open_block is not None:
        raise AssertionError(f"{open_block.where}: the block has no end")
    return blocks


def text_outside_blocks(page):
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
        lines.append("" if inside else line)
    return lines


def anchors_of(page):
    heads = (line.lstrip("#").strip() for line in text_outside_blocks(page) if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def workplace(folder):
    """What a reader has after ./quickstart, apart from the sources."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "assets", folder / "assets")
    shutil.copytree(ROOT / "bench", folder / "bench")
    (folder / "build" / "bin").mkdir(parents=True)
    (folder / "build" / "bin" / "automodel").symlink_to(PROGRAM)
    return folder


def files_of(path):
    """What is there under a path of the text, in which NAME stands for any name and ** for any folders."""
    exact = ROOT / path
    if exact.exists():
        return [exact]
    pattern = re.sub(r"\b[A-Z_]{3,}\b", "*", path.rstrip("/")).replace("**.", "**/*.")
    return list(ROOT.glob(pattern))


def run(command, folder):
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=LIMIT_S)


def with_added(script, added):
    """The arguments go to the commands that train: `build/bin/automodel CONFIG.yaml ...`."""
    return re.sub(r"^(build/bin/automodel \S+\.yaml[^#\n]*)", lambda found: f"{found[1].rstrip()} {added} ", script, flags=re.M)


class Commands(unittest.TestCase):
    def test_every_command_of_every_page_runs(self):
        ran = 0
        for page in pages():
            scripts = [block for block in blocks_of(page) if block.language == "sh"]
            with tempfile.TemporaryDirectory() as scratch:
                folder = workplace(pathlib.Path(scratch)) if any("needs" not in block.marks for block in scripts) else None
                for block in scripts:
                    with self.subTest(block.where):
                        ran += self.run_block(block, folder)
        self.assertGreater(ran, 10)

    def run_block(self, block, folder):
        if "needs" in block.marks:
            needs, _, why = block.marks["needs"].partition("|")
            for need in needs.split(","):
                self.assertIn(need.strip(), NEEDS, block.where)
            self.assertTrue(why.strip(), f"{block.where}: say why it is not run: <!-- needs: X | why -->")
            return 0
        script = block.text.replace(*OWN_MODEL)
        if "add" in block.marks:
            added, _, why = block.marks["add"].partition("|")
            self.assertTrue(why.strip(), f"{block.where}: say why: <!-- add: ARGUMENTS | why -->")
            longer = with_added(script, added.strip())
            self.assertNotEqual(longer, script, f"{block.where}: no command takes the added arguments")
            script = longer
        result = run(script, folder)
        wanted = int(block.marks.get("exit", "0"))
        self.assertEqual(result.returncode, wanted, f"{block.where}:\n{script}\nended with {result.returncode}:\n{result.stdout[-2000:]}")
        if wanted in (1, 2, 3) and "check" not in script and "verify" not in script:
            self.assertIn("error: ", result.stdout, block.where)
        return 1


class Files(unittest.TestCase):
    def test_blocks_that_show_a_file_show_it_as_it_is(self):
        shown = 0
        for page in pages():
            for block in blocks_of(page):
                if "file" not in block.marks:
                    continue
                with self.subTest(block.where):
                    text = (ROOT / block.marks["file"]).read_text(encoding="utf-8")
                    same = block.text == text if block.language == "yaml" else block.text.split() == text.split()
                    self.assertTrue(same, f"{block.where} is not {block.marks['file']}")
                shown += 1
        self.assertGreater(shown, 0)

    def test_recipes_in_the_text_are_valid(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = workplace(pathlib.Path(scratch))
            for page in pages():
                for block in blocks_of(page):
                    if block.language != "yaml" or "file" in block.marks or not re.search(r"^recipe:", block.text, re.M):
                        continue
                    with self.subTest(block.where):
                        (folder / "shown.yaml").write_text(block.text)
                        result = run("build/bin/automodel check shown.yaml", folder)
                        self.assertEqual(result.returncode, int(block.marks.get("exit", "0")), result.stdout[-2000:])

    def test_every_recipe_can_be_checked_and_planned(self):
        recipes = sorted((ROOT / "configs").rglob("*.yaml")) + sorted((ROOT / "bench").rglob("*.yaml"))
        self.assertTrue(recipes)
        with tempfile.TemporaryDirectory() as scratch:
            folder = workplace(pathlib.Path(scratch))
            for recipe in recipes:
                for command in ("check", "plan"):
                    with self.subTest(f"{command} {recipe.relative_to(ROOT)}"):
                        result = run(f"build/bin/automodel {command} {recipe.relative_to(ROOT)}", folder)
                        self.assertEqual(result.returncode, 0, result.stdout[-2000:])

    def test_the_page_of_all_keys_is_current(self):
        result = run("build/bin/automodel help config markdown", self.enterContext(Workplace()))
        self.assertEqual(result.returncode, 0, result.stdout[-2000:])
        kept = (ROOT / "docs/config.md").read_text(encoding="utf-8")
        self.assertTrue(result.stdout == kept, "write it again: build/bin/automodel help config markdown > docs/config.md")


class Workplace(tempfile.TemporaryDirectory):
    def __enter__(self):
        return workplace(pathlib.Path(super().__enter__()))


class Links(unittest.TestCase):
    def each_link(self):
        for page in pages():
            for number, line in enumerate(text_outside_blocks(page), 1):
                for text, target in LINK.findall(line):
                    if not re.match(r"[a-z]+:", target):
                        yield page, f"{page.relative_to(ROOT)}:{number}", text, target

    def test_links_lead_somewhere(self):
        for page, where, _, target in self.each_link():
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            with self.subTest(where):
                self.assertTrue(file.exists(), f"{where}: {target} is not there")
                if anchor:
                    self.assertIn(anchor, anchors_of(file), f"{where}: {target} has no such heading")

    def test_names_in_links_are_in_the_files(self):
        named = 0
        for page, where, text, target in self.each_link():
            name = text.strip("`")
            if not (text.startswith("`") and re.fullmatch(r"[A-Za-z_][\w:]*", name)):
                continue
            named += 1
            with self.subTest(where):
                last = name.split("::")[-1]
                source = (page.parent / target).read_text(encoding="utf-8")
                self.assertRegex(source, rf"\b{last}\b", f"{where}: {target} has no {name}")
        self.assertGreater(named, 40)

    def test_paths_in_the_text_are_there(self):
        for page in pages():
            for number, line in enumerate(text_outside_blocks(page), 1):
                for path in PATH.findall(line):
                    with self.subTest(f"{page.relative_to(ROOT)}:{number}"):
                        self.assertTrue(files_of(path), f"{page.relative_to(ROOT)}:{number}: {path} is not there")

    def test_pages_that_the_program_names_are_there(self):
        for source in sorted((ROOT / "automodel").rglob("*")):
            if source.suffix not in (".h", ".cpp"):
                continue
            for path in re.findall(r"docs/[\w-]+\.md", source.read_text(encoding="utf-8")):
                self.assertTrue((ROOT / path).exists(), f"{source.relative_to(ROOT)} names {path}")

    def test_the_first_command_of_the_readme_stands_near_its_top(self):
        first = next(block for block in blocks_of(ROOT / "README.md") if block.language == "sh")
        self.assertLess(first.line, 25)
        self.assertEqual(first.lines[0], "./quickstart")


class Rooms(unittest.TestCase):
    def test_the_page_of_rooms_says_what_cmake_says(self):
        declared = {}
        for name, rest in re.findall(r"^automodel_(?:room|program)\((\w+)\s+([^)]*)\)", (ROOT / "CMakeLists.txt").read_text(), re.M):
            uses = re.search(r"USES\s+((?:[a-z0-9]+\s*)+)", rest)
            declared[name] = uses[1].split() if uses else []
        self.assertGreater(len(declared), 10)
        text = (ROOT / "docs/rooms.md").read_text()
        told = {}
        for name, uses in re.findall(r"^### (\w+)\n\n\*Uses\* ([^.]*)\.", text, re.M):
            told[name] = [] if uses == "no other room" else uses.replace("\n", " ").split(", ")
        self.assertEqual(told, declared)

    def test_every_kind_of_error_is_explained(self):
        kinds = re.findall(r"^struct (\w+Error)\b", (ROOT / "automodel/base/error.h").read_text(), re.M)
        self.assertGreater(len(kinds), 5)
        text = (ROOT / "docs/errors.md").read_text()
        for kind in kinds:
            self.assertIn(f"`{kind}`", text)

    def test_the_families_of_the_readme_are_those_of_the_program(self):
        result = run("build/bin/automodel models", self.enterContext(Workplace()))
        line = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("- Families: "))
        told = re.sub(r"\([^)]*\)", "", line[len("- Families: "):]).rstrip(".").replace(" ", "").split(",")
        self.assertEqual(sorted(told), sorted(entry.split()[0] for entry in result.stdout.splitlines()))


class TheTestItself(unittest.TestCase):
    def page(self, text):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "page.md").write_text(text)
        return folder / "page.md"

    def test_marks_belong_to_the_block_right_after_them(self):
        page = self.page("<!-- exit: 2 -->\n```sh\nfalse\n```\n<!-- exit: 3 -->\n\n```sh\ntrue\n```\n")
        self.assertEqual([block.marks for block in blocks_of(page)], [{"exit": "2"}, {}])

    def test_a_command_in_the_middle_of_a_block_that_fails_is_seen(self):
        self.assertEqual(run("true\nfalse\ntrue", "/").returncode, 1)

    def test_added_arguments_go_to_training_commands_only(self):
        self.assertEqual(with_added("build/bin/automodel plan a.yaml\nbuild/bin/automodel a.yaml --x 1   # the run\n", "--y 2"),
                         "build/bin/automodel plan a.yaml\nbuild/bin/automodel a.yaml --x 1 --y 2 # the run\n")


if __name__ == "__main__":
    PROGRAM, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
