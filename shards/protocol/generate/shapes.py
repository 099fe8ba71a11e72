#!/usr/bin/env python3
"""Writes src/shapes_table.rs: the wire shape of every request that a broker of ours may serve.

Usage: generate/shapes.py <folder src/messages of the crate kafka-protocol> > src/shapes_table.rs, then rustfmt it.
It reads the decoder of each request struct, so the guard in src/shapes.rs walks exactly what the decoder will read.
"""
import re
import sys
from pathlib import Path

SERVED = """
0 produce 1 fetch 2 list_offsets 3 metadata 8 offset_commit 9 offset_fetch 10 find_coordinator 11 join_group
12 heartbeat 13 leave_group 14 sync_group 15 describe_groups 16 list_groups 17 sasl_handshake 18 api_versions
19 create_topics 20 delete_topics 21 delete_records 22 init_producer_id 23 offset_for_leader_epoch
24 add_partitions_to_txn 25 add_offsets_to_txn 26 end_txn 27 write_txn_markers 28 txn_offset_commit
29 describe_acls 30 create_acls 31 delete_acls 32 describe_configs 33 alter_configs 34 alter_replica_log_dirs
35 describe_log_dirs 36 sasl_authenticate 37 create_partitions 42 delete_groups 43 elect_leaders
44 incremental_alter_configs 45 alter_partition_reassignments 46 list_partition_reassignments 47 offset_delete
48 describe_client_quotas 49 alter_client_quotas 50 describe_user_scram_credentials
51 alter_user_scram_credentials 55 describe_quorum 57 update_features 60 describe_cluster 61 describe_producers
65 describe_transactions 66 list_transactions 68 consumer_group_heartbeat 69 consumer_group_describe
74 list_config_resources 75 describe_topic_partitions
""".split()

FIXED = {"Boolean": 1, "Int8": 1, "UInt8": 1, "Int16": 2, "UInt16": 2, "Int32": 4, "UInt32": 4, "Int64": 8,
         "Float64": 8, "Uuid": 16}
TEXT = {"String": "Text", "CompactString": "CompactText", "Bytes": "Bytes", "CompactBytes": "CompactBytes"}
INFINITE = 32767


def struct_of(rust):
    """The struct named inside Vec<..>, Option<..>."""
    return re.sub(r"Vec|Option|[<>]|super::", "", rust).strip()


class Source:
    def __init__(self, text):
        self.structs = {}
        for name, body in re.findall(r"pub struct (\w+) \{\n(.*?)\n\}", text, re.S):
            self.structs[name] = dict(re.findall(r"^    pub (\w+): (.*),$", body, re.M))
        self.decoders = {}
        for name, body in re.findall(r"impl Decodable for (\w+) \{\n(.*?)\n\}", text, re.S):
            self.decoders[name] = body.split("\n")
        self.versions = {
            name: (int(low), int(high))
            for name, low, high in re.findall(
                r"impl Message for (\w+) \{\n    const VERSIONS: VersionRange = VersionRange \{ min: (\d+), max: (\d+) \}",
                text)
        }


def wire(kind, rust, prefix):
    kind = kind.strip()
    if kind in FIXED:
        return f"Wire::Fixed({FIXED[kind]})"
    if kind in TEXT:
        return f"Wire::{TEXT[kind]}"
    if kind == "Struct { version }":
        return f"Wire::Struct(&{prefix}{shape_name(struct_of(rust))})"
    if kind == "OptionStruct { version }":
        return f"Wire::OptionStruct(&{prefix}{shape_name(struct_of(rust))})"
    array = re.fullmatch(r"(Array|CompactArray)\((.*)\)", kind)
    if array:
        element = array.group(2)
        element = element.replace("types::", "")
        return f"Wire::{array.group(1)}(&{wire(element, rust, prefix)})"
    raise SystemExit(f"unknown type {kind!r}")


def shape_name(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def narrow(bounds, condition):
    """(bounds if true, bounds if false) of a condition on `version`."""
    low, high = bounds
    match = re.fullmatch(r"version (>=|<=|==) (\d+)", condition)
    if match:
        op, n = match.group(1), int(match.group(2))
        if op == ">=":
            return (max(low, n), high), (low, min(high, n - 1))
        if op == "<=":
            return (low, min(high, n)), (max(low, n + 1), high)
        if n == low:
            return (n, n), (n + 1, high)
        return (n, n), (low, min(high, n - 1)) if n == high else None
    match = re.fullmatch(r"version >= (\d+) && version <= (\d+)", condition)
    if match:
        return (max(low, int(match.group(1))), min(high, int(match.group(2)))), None
    raise SystemExit(f"unknown condition {condition!r}")


def shape(source, name, prefix, out, done):
    if name in done:
        return
    done.add(name)
    types = source.structs[name]
    bounds = source.versions[name]
    fields, tags, tagged = [], [], None
    stack = []  # of (bounds if true, bounds if false)
    current, tag, in_tags = None, None, False
    for line in source.decoders[name]:
        text = line.strip()
        here = stack[-1][0] if stack else bounds
        if "num_tagged_fields = " in text:
            in_tags = True
            tagged = here if tagged is None else tagged
        opened = re.match(r"(?:let (?:mut )?(\w+) = )?if (version .*) \{$", text)
        if opened and "bail" not in text:
            if re.match(r"version < |version != ", opened.group(2)):
                stack.append((bounds, None))
                continue
            if opened.group(1):
                current = opened.group(1)
            if here is None:
                raise SystemExit(f"{name}: nested condition under an unusable range")
            stack.append(narrow(here, opened.group(2)))
            continue
        if text == "} else {":
            _, other = stack.pop()
            stack.append((other, None))
            continue
        number = re.match(r"(\d+) => \{$", text)
        if number:
            tag = int(number.group(1))
            stack.append((here, None))
            continue
        if text.startswith("_ => {"):
            tag = None
        if text.endswith("{"):
            stack.append((here, None))
            continue
        if text in ("}", "};", "})"):
            if stack:
                stack.pop()
            continue
        decoded = re.search(r"(?:let (\w+) = |(\w+) = )?types::(.*)\.decode\(buf\)\?", text)
        if not decoded:
            continue
        field = decoded.group(1) or decoded.group(2) or current
        if field in ("num_tagged_fields",) or text.startswith("let tag:") or text.startswith("let size:"):
            continue
        kind = decoded.group(3)
        if here is None:
            raise SystemExit(f"{name}.{field}: no range")
        rust = types[field]
        if "Struct {" in kind:
            shape(source, struct_of(rust), prefix, out, done)
        entry = wire(kind, rust, prefix)
        low, high = here
        if low > high:
            continue
        if in_tags:
            tags.append(f"Tag {{ tag: {tag}, from: {low}, wire: {entry} }}")
        else:
            fields.append(f"Field {{ from: {low}, to: {high}, wire: {entry} }}")
    assert not stack, (name, stack)
    flexible = tagged[0] if tagged else INFINITE
    out.append(
        f"static {prefix}{shape_name(name)}: Shape = Shape {{ fields: &[{', '.join(fields)}], "
        f"flexible_from: {flexible if flexible != INFINITE else 'i16::MAX'}, tags: &[{', '.join(tags)}] }};")


def main():
    folder = Path(sys.argv[1])
    out, table = [], []
    for key, name in zip(SERVED[::2], SERVED[1::2]):
        source = Source((folder / f"{name}_request.rs").read_text())
        top = "".join(part.capitalize() for part in name.split("_")) + "Request"
        prefix = f"R{key}_"
        shape(source, top, prefix, out, set())
        low, high = source.versions[top]
        table.append(f"({key}, {low}, {high}, &{prefix}{shape_name(top)}),")
    print("//! Written by generate/shapes.py from the decoders of the crate kafka-protocol; do not edit.")
    print("//! The wire shape of every request that a broker of ours may serve, for the walk in `shapes.rs`.\n")
    print("use super::shapes::{Field, Shape, Tag, Wire};\n")
    print("/// Key, lowest and highest version that the decoder knows, shape; ascending by key.")
    print("pub(crate) static REQUESTS: &[(i16, i16, i16, &Shape)] = &[")
    print("\n".join(table))
    print("];\n")
    print("\n".join(out))


main()
