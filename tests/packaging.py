#!/usr/bin/env python3
"""Reads the YAML files users are given, and shows that they say what they should. Needs PyYAML."""

import glob
import os
import re
import sys

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def check(what, holds):
    print(f"{'as it should be' if holds else 'WRONG'}: {what}")
    return holds


def compose():
    services = yaml.safe_load(read("compose.yaml"))["services"]
    larder = services["larder"]
    known = set(re.findall(r"`([A-Z][A-Z_]+)`", read("docs/CONFIGURATION.md")))
    yield "compose: every variable of Larder's is one it knows", set(larder["environment"]) <= known
    yield "compose: ADMIN_TOKEN must be given", larder["environment"]["ADMIN_TOKEN"].startswith("${ADMIN_TOKEN:?")
    yield "compose: Larder's Dockerfile is there", os.path.exists(os.path.join(ROOT, larder["build"]["dockerfile"]))
    yield "compose: the port is the image's", larder["ports"] == ["8676:8676"] and "EXPOSE 8676\n" in read("Dockerfile.alpine")
    for name, service in services.items():
        options = service["logging"]
        rotated = options["driver"] == "json-file" and {"max-size", "max-file"} <= set(options["options"])
        yield f"compose: the log of {name} is rotated", rotated


def workflows():
    paths = glob.glob(os.path.join(ROOT, ".github/workflows/*.yml"))
    for path in paths:
        # YAML 1.1 reads the key `on` as true.
        document = yaml.safe_load(read(path))
        yield f"{os.path.basename(path)}: has triggers and jobs", True in document and bool(document["jobs"])


def main():
    results = [check(what, holds) for part in (compose, workflows) for what, holds in part()]
    sys.exit(0 if all(results) else 1)


main()
