"""Reads `cargo metadata`: no crate that a published one is built from asks for a newer Rust."""

import json
import sys


def version(text):
    parts = [int(part) for part in (text or "0").split("-")[0].split(".")]
    return tuple((parts + [0, 0])[:3])


metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
published = [member for member in metadata["workspace_members"] if packages[member]["publish"] is None]

ours = min(version(packages[member]["rust_version"]) for member in published)
seen, todo = set(), list(published)
while todo:
    crate = todo.pop()
    if crate not in seen:
        seen.add(crate)
        for dependency in nodes[crate]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])

newer = [packages[crate] for crate in seen if version(packages[crate]["rust_version"]) > ours]
for package in newer:
    print(f"{package['name']} {package['version']} needs Rust {package['rust_version']}")
print(f"{len(seen)} crates, {len(newer)} that need a newer Rust than {ours}")
sys.exit(bool(newer))
