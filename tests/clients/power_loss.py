"""What a disk may hold after the power failed: a recorded trace of disk operations, cut, as a data directory.

The trace is what `heddle start --trace-writes FILE` records (its format stands in shards/uring/src/trace.rs). The rules
are those of docs/RULES.md A: a write is kept if it completed as durable, or completed before a sync of its file began that
completed; a name is kept if it was changed before a sync of its directory began that completed. Whatever else was
started may be kept or not: every 512-byte sector and every name by itself.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess

SECTOR = 512
PIECE = 256 * 1024


class Event:
    """A line of the trace. `end`: where it ends in the trace file; a cut at that position includes it."""

    def __init__(self, end, words):
        self.end = end
        self.starts = words[0] == "start"
        self.number = int(words[1])
        if self.starts:
            self.kind, self.arguments = words[2], words[3:]
        else:
            self.well = words[2] == "ok"


def read_trace(path):
    """The events of a trace that was not cut within a line; a process that was killed may leave half a line."""
    events, position = [], 0
    for line in pathlib.Path(path).read_bytes().splitlines(keepends=True):
        position += len(line)
        if line.endswith(b"\n"):
            # Not `split()`: the data directory itself is the empty path.
            events.append(Event(position, line.decode()[:-1].split(" ")))
    return events


class Write:
    def __init__(self, at, length, content):
        self.at, self.length, self.content = at, length, content
        self.completed = self.kept = False


class File:
    def __init__(self, base=None):
        # A file that was there before the trace, whole and durable.
        self.base = base
        self.length = self.kept_length = base.stat().st_size if base else 0
        self.writes = []


class Change:
    def __init__(self, path, node):
        # No node: the name goes.
        self.path, self.node = path, node
        self.completed = False


class Disk:
    """The disk under a trace, up to some event. `faults` are syncs that the broker forgets, or the disk does not do, to
    see that they are found out: (what, pattern of paths). `write`: durable writes to such files are not durable;
    `names`: such directories are not synced; `prewrite`: pre-written zeros are not synced."""

    def __init__(self, trace, base=None, faults=()):
        self.content = pathlib.Path(f"{trace}.data")
        self.faults = list(faults)
        self.kept, self.changes, self.files, self.under_way = {}, [], {}, {}
        if base:
            for path in sorted(pathlib.Path(base).rglob("*")):
                name = str(path.relative_to(base))
                self.kept[name] = "dir" if path.is_dir() else File(path)
                if not path.is_dir():
                    self.files[name] = self.kept[name]

    def is_faulty(self, what, path):
        return any(fault == what and re.search(pattern, path) for fault, pattern in self.faults)

    def apply(self, event):
        if event.starts:
            self.under_way[event.number] = (event, self.start(event.kind, event.arguments))
        else:
            start, what = self.under_way.pop(event.number)
            self.end(start.kind, start.arguments, what, event.well)

    def start(self, kind, a):
        if kind == "write":
            return self.write(a[0], int(a[1]), int(a[2]), int(a[4]))
        if kind == "prewrite":
            first, length = int(a[1]), int(a[2])
            pieces = range(first, first + length, PIECE)
            return [self.write(a[0], at, min(PIECE, first + length - at), None) for at in pieces]
        if kind == "allocate":
            file = self.files[a[0]]
            file.length = max(file.length, int(a[1]) + int(a[2]))
        elif kind == "sync":
            file = self.files[a[0]]
            return file, [write for write in file.writes if write.completed], file.length
        elif kind == "sync-dir":
            return [c for c in self.changes if c.completed and os.path.dirname(c.path) == a[0]]
        elif kind == "make-dir":
            if a[0] in self.names():
                return []
            return self.change([Change(a[0], "dir")])
        elif kind == "open" and a[0] == "Create":
            self.files[a[1]] = File()
            return self.change([Change(a[1], self.files[a[1]])])
        elif kind == "remove":
            return self.change([Change(a[0], None)])
        elif kind == "remove-tree":
            names = [n for n in self.names() if n == a[0] or n.startswith(a[0] + "/")]
            return self.change([Change(name, None) for name in sorted(names, reverse=True)])
        elif kind == "rename":
            raise NotImplementedError("the broker renames nothing")
        return None

    def end(self, kind, a, what, well):
        if not well:
            if kind in ("make-dir", "open", "remove", "remove-tree"):
                self.changes = [c for c in self.changes if c not in (what or [])]
            return
        if kind == "write":
            what.completed = True
            if a[3] == "true" and not self.is_faulty("write", a[0]):
                self.keep(self.files[a[0]], what)
        elif kind == "prewrite":
            for write in what:
                write.completed = True
                if not self.is_faulty("prewrite", a[0]):
                    self.keep(self.files[a[0]], write)
        elif kind == "sync":
            # The flush behind durable writes, where the device has no flag for them.
            if self.is_faulty("write", a[0]):
                return
            file, writes, length = what
            file.kept_length = max(file.kept_length, length)
            for write in writes:
                self.keep(file, write)
        elif kind == "sync-dir":
            if not self.is_faulty("names", a[0]):
                for change in what:
                    enter(self.kept, change)
                self.changes = [c for c in self.changes if c not in what]
        elif what:
            for change in what:
                change.completed = True

    def write(self, path, at, length, content):
        file = self.files[path]
        write = Write(at, length, content)
        file.writes.append(write)
        file.length = max(file.length, at + length)
        return write

    def keep(self, file, write):
        write.kept = True
        file.kept_length = max(file.kept_length, write.at + write.length)

    def change(self, changes):
        self.changes += changes
        return changes

    def names(self):
        names = dict(self.kept)
        for change in self.changes:
            enter(names, change)
        return names

    def build(self, directory, mercy, seed):
        """Write what is left into `directory`. `mercy`: the chance of whatever nobody vouched for to survive."""
        dice = random.Random(seed)
        names = dict(self.kept)
        for change in self.changes:
            if dice.random() < mercy:
                enter(names, change)
        directory = pathlib.Path(directory)
        directory.mkdir()
        with open(self.content, "rb") as content:
            for path, node in sorted(names.items()):
                if not hangs(names, path):
                    continue
                if node == "dir":
                    (directory / path).mkdir()
                else:
                    self.build_file(directory / path, node, content, mercy, dice)

    def build_file(self, path, file, content, mercy, dice):
        if file.base:
            subprocess.run(["cp", "--sparse=always", file.base, path], check=True)
        with open(path, "r+b" if file.base else "w+b") as out:
            length = file.length if dice.random() < mercy else file.kept_length
            out.truncate(length)
            # Zeros in a fresh file need no writing.
            fresh = not file.base
            for write in file.writes:
                if write.content is None and fresh:
                    continue
                fresh = fresh and write.content is None
                self.build_write(out, write, content, length, mercy, dice)
            out.truncate(length)

    def build_write(self, out, write, content, length, mercy, dice):
        data = bytes(write.length)
        if write.content is not None:
            content.seek(write.content)
            data = content.read(write.length)
        if write.kept:
            os.pwrite(out.fileno(), data, write.at)
            return
        for at in range(0, write.length, SECTOR):
            if write.at + at < length and dice.random() < mercy:
                os.pwrite(out.fileno(), data[at:at + SECTOR], write.at + at)


def enter(names, change):
    if change.node is None:
        names.pop(change.path, None)
    else:
        names[change.path] = change.node


def hangs(names, path):
    """Whether all directories above are there: what lies in none is gone."""
    above = os.path.dirname(path)
    return not above or (names.get(above) == "dir" and hangs(names, above))


def cut(trace, position, directory, mercy=0.0, seed=0, base=None, faults=()):
    """Build what the disk may hold if the power fails when the trace is `position` bytes long."""
    disk = Disk(trace, base, faults)
    for event in read_trace(trace):
        if event.end > position:
            break
        disk.apply(event)
    shutil.rmtree(directory, ignore_errors=True)
    disk.build(directory, mercy, seed)
