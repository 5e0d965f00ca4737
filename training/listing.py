"""The table of architectures as people and programs read it: each with its section of the chapter and its options."""

import json

from training.architectures import ARCHITECTURES

SECTIONS = {
    "10.2": "Recurrent neural networks",
    "10.2.1": "Teacher forcing and networks with output recurrence",
    "10.2.4": "Modeling sequences conditioned on context",
    "10.5": "Deep recurrent networks",
    "10.7": "The challenge of long-term dependencies",
    "10.8": "Echo state networks",
    "10.9.1": "Adding skip connections through time",
    "10.9.2": "Leaky units and a spectrum of different time scales",
    "10.9.3": "Removing connections",
    "10.10.1": "LSTM",
    "10.10.2": "Other gated RNNs",
}


def list_architectures(*, as_json: bool) -> str:
    """Write a line for each architecture, in the chapter's order, or all of it as JSON."""
    names = sorted(
        ARCHITECTURES, key=lambda name: ([int(part) for part in ARCHITECTURES[name].section.split(".")], name)
    )
    if as_json:
        return json.dumps([_described(name) for name in names], indent=2) + "\n"
    return "".join(_line(name) for name in names)


def _described(name: str) -> dict[str, object]:
    line = ARCHITECTURES[name]
    return {
        "name": name,
        "section": line.section,
        "title": SECTIONS[line.section],
        "parameters": line.parameters,
        "options": line.options,
        "page": f"docs/architectures/{line.page}.md",
    }


def _line(name: str) -> str:
    line = ARCHITECTURES[name]
    options = " ".join(f"{key}={json.dumps(value)}" for key, value in line.options.items())
    return f"{name:<19} {line.section:<8} {SECTIONS[line.section]:<52} {options}".rstrip() + "\n"
