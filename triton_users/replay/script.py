"""Writes a case as one script that needs tritonclient and numpy alone, for whoever has to fix the defect.

It has the words of the failure, the server's version, the model's configuration and the command that found it in its
head. Exit code 1 while the defect is there, 0 when it is not seen, 2 when no server answers. A script is run before it
is handed over: what is rare there gets the time that it took here, six times over.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triton_users.image_model.tensors import ImageTensors
from triton_users.replay import script_parts as parts
from triton_users.replay.case import Case, Play
from triton_users.replay.plans import IDENTITY
from triton_users.replay.script_models import IMPORTS, PART, Asked, Loaded
from triton_users.scenarios.models import REFERENCE_IMAGE_TENSORS, SLOW_MODEL, identity_models
from triton_users.scenarios.resnet import LARGEST_SCORE, LEAST_SCORE, Gallery
from triton_users.scenarios.sequence_models import sequence_models
from triton_users.settings import TRIALS, Settings, UsageError

LEAST_ROUNDS = 20
LEAST_LIMIT_S = 20
PATIENCE = 6
"""How many times as long as it took here a script plays before it says that nothing was seen."""
MAX_CONFIGURATION = 1_500
"""Characters of a model's configuration in the head."""

NO_SCRIPT = {
    "PerfAnalyzer": "perf_analyzer is the client there: the failure's evidence has its command",
    "Timeout": "the request that must run into its deadline is larger than tritonclient can send in time",
}


@dataclass(frozen=True)
class Patience:
    """How long a script plays before it says that nothing was seen."""

    rounds: int
    limit_s: int

    @classmethod
    def after(cls, runs: Iterable[Tried]) -> Patience:
        """What lets the slowest of these runs see it again, with room to spare."""
        slowest = list(runs)
        return cls(
            max(LEAST_ROUNDS, PATIENCE * max(each.round for each in slowest)),
            max(LEAST_LIMIT_S, round(PATIENCE * max(each.elapsed_s for each in slowest))),
        )


@dataclass(frozen=True)
class Facts:
    """What stands in a script's head."""

    reason: str
    server: str
    """Name and version."""
    address: str
    command: str
    """The command of the run that found it."""
    configuration: Callable[[str], Mapping[str, Any]]
    """Of a model, as JSON has it; empty where the server does not say."""
    models: frozenset[str]
    """Those that are ready."""
    image: ImageTensors = REFERENCE_IMAGE_TENSORS
    """Of the image model."""


def write(
    path: Path,
    case: Case,
    patience: Patience,
    facts: Facts,
    settings: Settings,
    gallery: Gallery | None,
    loaded: Mapping[str, Loaded] | None = None,
) -> list[Path]:
    """Write the script, and beside it the pictures or a model's own data where there are any; the files written.

    `loaded`: the models under load by scenario. UsageError when there is no script of such a case.
    """
    maker = _Maker(facts, settings, loaded or {})
    play = maker.line(case.main)
    partners = ", ".join(f"lambda ids: {maker.line(each)}" for each in case.partners)
    more = ["signal", "subprocess"] if maker.needs_crash else []
    used = ["os", "queue", "secrets", *more, "sys", "threading", "time", "traceback"]
    text = [
        maker.head(path.name),
        parts.HEAD.format(
            used=", ".join(used),
            more=IMPORTS if maker.asked.arrays else "",
            address=facts.address,
            rounds=patience.rounds,
            limit_s=patience.limit_s,
            answer_limit_s=_answer_limit_s(case, settings),
        ),
        *maker.parts(case, gallery),
        "\n\n",
        *(f"{name} = {model!r}\n" for name, model in maker.models),
        parts.PLAY.format(play=play),
        parts.PARTNERS.format(partners=partners) if partners else "",
        parts.MAIN.format(start=parts.START_PARTNERS if partners else "", entry=maker.entry),
    ]
    path.write_text("".join(text))
    beside = dict(maker.asked.arrays)
    if maker.pictures and gallery is not None:
        chosen = list(maker.pictures)
        beside["labels"] = np.array([gallery.labels[place] for place in chosen])
        beside["pictures"] = gallery.arrays[chosen]
    if not beside:
        return [path]
    np.savez_compressed(path.with_suffix(".npz"), **beside)
    return [path, path.with_suffix(".npz")]


def _answer_limit_s(case: Case, settings: Settings) -> float:
    """How long a script waits for one answer, in seconds: as long as the run did."""
    of_sequences = all("sequences" in each.plan for each in (case.main, *case.partners))
    return (settings.sequence_timeout_ms if of_sequences else settings.request_timeout_ms) / 1e3


@dataclass(frozen=True)
class Tried:
    """What came of a script that was run."""

    exit_code: int
    said: str
    elapsed_s: float

    @property
    def seen(self) -> bool:
        """Whether it saw the defect; a script that breaks ends with exit code 1 as well, and says something else."""
        return self.exit_code == 1 and self.round > 0

    @property
    def round(self) -> int:
        """The round in which it saw the defect; 0 when it did not."""
        found = re.match(r"round (\d+):", self.said)
        return int(found[1]) if found else 0


def tried(path: Path, address: str, limit_s: float) -> Tried:
    """Run the script against this server, as whoever gets it would."""
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(path), address],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Tried(0, f"it was ended after {limit_s:.0f} s", time.monotonic() - began)
    return Tried(done.returncode, (done.stdout + done.stderr).strip(), time.monotonic() - began)


class _Maker:
    """The lines and parts of one script."""

    def __init__(self, facts: Facts, settings: Settings, loaded: Mapping[str, Loaded]) -> None:
        self._facts, self._settings, self._loaded = facts, settings, loaded
        self.asked = Asked()
        self._sequences = {each.name: each for each in sequence_models(TRIALS, facts.models)}
        self._identities = {each.name: each for each in identity_models(TRIALS, facts.models)}
        self._named: dict[str, tuple[str, dict[str, Any]]] = {}
        self._names: list[str] = []
        """Models whose configuration stands in the head."""
        self.pictures: tuple[int, ...] = ()
        self.needs_crash = False

    @property
    def models(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self._named.values())

    @property
    def entry(self) -> str:
        return 'doomed() if sys.argv[2:] == ["doomed"] else main()' if self.needs_crash else "main()"

    def line(self, play: Play) -> str:
        """The Python expression that plays it and is what went wrong."""
        plan, name = play.plan, play.scenario
        if "id_offsets" in plan:
            pairs = zip(plan["id_offsets"], plan["sequences"], strict=True)
            listed = ", ".join(f"(ids + {offset}, {list(values)})" for offset, values in pairs)
            return f"send({self._sequence(plan['model'])}, [{listed}])"
        if "sequences" in plan:
            return self._one_after_the_other(name, plan)
        if name == "SequenceNoStart":
            return f"refused({self._sequence(plan['model'])}, ids + {plan['id_offset']})"
        if name == IDENTITY:
            stretch = f"NUMBERS[{plan['start']}:{plan['start'] + plan['count']}]"
            return f"identity({self._identity(plan['model'])}, {stretch})"
        if "pictures" in plan:
            self.pictures = tuple(plan["pictures"])
            self._names.append(self._settings.image_model)
            return "classify()"
        if "signal" in plan:
            self.needs_crash = True
            self._names.append(SLOW_MODEL)
            model = self._identity(next(iter(self._identities), ""))
            return f"crash({model}, {plan['delay_s']}, signal.{plan['signal']})"
        if name in self._loaded:
            self._names.append(name)
            return self.asked.line(self._loaded[name], plan)
        why = NO_SCRIPT.get(name, "its model is not under load here (--models); replay plays it")
        raise UsageError(f"there is no script of a failure of {name}: {why}")

    def parts(self, case: Case, gallery: Gallery | None) -> list[str]:
        """The functions that the lines call."""
        plays = (case.main, *case.partners)
        found = []
        if any("sequences" in each.plan or each.scenario == "SequenceNoStart" for each in plays):
            found.append(parts.SEQUENCES.format())
        if any(each.scenario in ("SequenceNoEnd", "SequenceNoStart") for each in plays):
            found.append(parts.WITHOUT_START.format())
        if any(each.scenario == IDENTITY for each in plays) or self.needs_crash:
            found.append(parts.IDENTITY.format())
        if self.pictures:
            own = gallery is not None and gallery.own
            least, largest = (-1e38, 1e38) if own else (LEAST_SCORE, LARGEST_SCORE)  # finite is all that is known
            found.append(
                parts.PICTURES.format(
                    model=self._settings.image_model,
                    input=self._facts.image.input,
                    output=self._facts.image.output,
                    datatype=self._facts.image.datatype,
                    first="" if self._facts.image.batched else "[0]",
                    top_k=self._settings.image_top_k,
                    least=least,
                    largest=largest,
                )
            )
        if self.asked.arrays:
            found.append(PART)
        if self.needs_crash:
            count = next(len(each.plan["values"]) for each in plays if "signal" in each.plan)
            found.append(parts.CRASH.format(slow=SLOW_MODEL, count=count))
        return found

    def head(self, name: str) -> str:
        """The docstring."""
        facts = self._facts
        lines = [
            *textwrap.wrap(facts.reason, 112),
            "",
            f"Seen on {facts.server}. It needs tritonclient[grpc] and numpy, and the server the models named below.",
            f"    python {name} HOST:PORT",
            "Exit code 1 while the defect is there, 0 when it is not seen, 2 when no server answers.",
            "",
            "Found by:",
            *textwrap.wrap(facts.command or "(not known)", 108, initial_indent="    ", subsequent_indent="        "),
        ]
        for model in dict.fromkeys(self._names):
            configuration = json.dumps(_telling(facts.configuration(model)))
            if len(configuration) > MAX_CONFIGURATION:
                configuration = f"{configuration[:MAX_CONFIGURATION]} ..."
            wrapped = textwrap.wrap(configuration, 108, initial_indent="    ", subsequent_indent="    ")
            lines += ["", f"Configuration of {model}:", *wrapped]
        text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''").encode("ascii", "backslashreplace").decode()
        return f'#!/usr/bin/env python3\n"""{text}\n"""\n'

    def _one_after_the_other(self, name: str, plan: Mapping[str, Any]) -> str:
        model, number = self._sequence(plan["model"]), f"ids + {plan['id_offset']}"
        pauses = [*plan.get("pauses", ()), *[None] * len(plan["sequences"])]
        sent = []
        for place, values in enumerate(plan["sequences"]):
            ends = name not in ("SequenceNoEnd", "SequenceValidNoEnd") or place < len(plan["sequences"]) - 1
            pause = pauses[place]
            more = "" if ends else ", end=False"
            if pause:
                more += f", pause=({pause['before']}, {pause['share'] * self._settings.idle_limit_s:.3g})"
            sent.append(f"send({model}, [({number}, {list(values)})]{more})")
        if name == "SequenceNoEnd":
            held_s = self._settings.idle_limit_s + self._settings.idle_margin_s
            again = list(plan["sequences"][0])[:2]
            sent += [f"wait({held_s:g})", f"refused({model}, {number})", f"send({model}, [({number}, {again})])"]
        joined = " or ".join(sent)
        return f"({joined})" if len(sent) > 1 else joined

    def _sequence(self, name: str) -> str:
        model = self._sequences.get(name)
        if model is None:
            raise UsageError(f"the sequence model {name} is not ready on the server")
        return self._name(
            name,
            {
                "name": name,
                "input": model.input,
                "output": model.output,
                "datatype": model.datatype,
                "shape": list(model.shape),
                "sums": model.accumulates,
            },
        )

    def _identity(self, name: str) -> str:
        model = self._identities.get(name)
        if model is None:
            raise UsageError(f"the identity model {name or 'that answers at once'} is not ready on the server")
        return self._name(name, {"name": name, "input": model.input, "output": model.output, "batches": model.batches})

    def _name(self, name: str, model: dict[str, Any]) -> str:
        if name not in self._named:
            self._named[name] = (f"MODEL{len(self._named) + 1}", model)
            self._names.append(name)
        return self._named[name][0]


def _telling(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Without what every model has."""
    dull = {"name", "version_policy", "optimization", "default_model_filename", "backend_config"}
    return {name: value for name, value in configuration.items() if name not in dull and value}
