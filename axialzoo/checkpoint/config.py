"""``config.json``: what the weights beside it compute, on what, and where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from axialzoo.checkpoint import strict_json
from axialzoo.checkpoint.checkpoint_error import CheckpointError, UnsupportedVersionError
from axialzoo.checkpoint.migrate import READABLE, VERSION, migrate_config
from axialzoo.spec import Label, Model, Preprocessing, SpecError, did_you_mean, from_dict, get_entry, is_registered, to_dict

FORMAT = "axialzoo"
FIELDS = ("format", "version", "model", "spec", "labels", "preprocessing", "provenance", "digest", "config_digest")
MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Config:
    """All that is known about a checkpoint besides its tensors.

    Attributes:
        model: Name in the registry, or ``"custom"``.
        spec: The model's spec.
        labels: One per class, or none; plain names do too.
        preprocessing: Preprocessing of pictures.
        provenance: Plain JSON: source, recipe, metrics, licence and the like, of the tensors that `digest` names.
        digest: Of the tensors: see :func:`axialzoo.checkpoint.digest`; empty before they are saved.
        version: Of the text that it was read from: its tensors' names, hence the digest, are of that version.
    """

    model: str
    spec: Model
    labels: tuple[Label, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    provenance: Mapping[str, object] = field(default_factory=dict)
    digest: str = ""
    version: int = field(default=VERSION, compare=False)

    def __post_init__(self):
        for name, kind in (("model", str), ("spec", Model), ("preprocessing", Preprocessing), ("provenance", dict), ("digest", str)):
            if not isinstance(getattr(self, name), kind):
                raise CheckpointError(f"config.{name}: expected {kind.__name__}, found {getattr(self, name)!r}")
        object.__setattr__(self, "labels", as_labels(self.labels))
        if self.labels and len(self.labels) != self.spec.num_labels:
            raise CheckpointError(f"config.labels: expected none or one per class ({self.spec.num_labels}), found {len(self.labels)}")
        if len(self.preprocessing.mean) != self.spec.backbone.in_channels:
            raise CheckpointError(
                f"config.preprocessing: expected a mean and a std per image channel ({self.spec.backbone.in_channels}), "
                f"found {len(self.preprocessing.mean)}"
            )
        strict_json.check_plain([self.model, [label.name for label in self.labels], self.provenance, self.digest], "config")

    def to_json(self) -> str:
        """Return the text of ``config.json``; equal configs give equal text."""
        data = {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "spec": to_dict(self.spec),
            "labels": [to_dict(label) for label in self.labels],
            "preprocessing": to_dict(self.preprocessing),
            "provenance": json.loads(json.dumps(self.provenance, sort_keys=True)),
            "digest": self.digest,
        }
        return json.dumps({**data, "config_digest": _digest(data)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "config.json") -> Config:
        """Read a config that `to_json` wrote. The text is not trusted: it may come from anybody.

        Raises:
            CheckpointError: for what is not JSON, unknown or missing fields, another format or version, and a text
                that was changed since it was written (``config_digest``; a config without that line is not checked).
            SpecError: for a spec that does not describe a model.
        """
        data = strict_json.parse(text, where, MAX_BYTES)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            actual = data.get("format") if isinstance(data, dict) else type(data).__name__
            raise CheckpointError(f"{where}: expected an object whose format is {FORMAT!r}, found {str(actual)[:80]!r}")
        version = data.get("version")
        if isinstance(version, bool) or version not in READABLE:
            known = ", ".join(map(str, READABLE))
            raise UnsupportedVersionError(f"{where}: expected version {known}, found {str(version)[:80]}; a newer axialzoo may read it")
        for key in data:
            if key not in FIELDS:
                raise CheckpointError(f"{where}: unknown field {key[:80]!r}{did_you_mean(key[:80], FIELDS)} (known: {', '.join(FIELDS)})")
        missing = [key for key in FIELDS[:-2] if key not in data]
        if missing:
            raise CheckpointError(f"{where}: missing field {', '.join(missing)}")
        claimed = data.pop("config_digest", None)
        if claimed is not None and claimed != _digest(data):
            raise CheckpointError(
                f"{where}: was changed since it was written (config_digest: expected {_digest(data)}, found {str(claimed)[:80]}); "
                "fetch it again, or, if you changed it on purpose, delete the line config_digest"
            )
        if not isinstance(data["labels"], list):
            raise CheckpointError(f"{where}: labels: expected a list, found {type(data['labels']).__name__}")
        data = migrate_config(data)
        try:
            return cls(
                model=data["model"],
                spec=from_dict(Model, data["spec"]),
                labels=tuple(from_dict(Label, label, f"labels[{index}]") for index, label in enumerate(data["labels"])),
                preprocessing=from_dict(Preprocessing, data["preprocessing"]),
                provenance=data["provenance"],
                digest=data.get("digest", ""),
                version=version,
            )
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from None
        except CheckpointError as error:
            raise CheckpointError(f"{where}: {error}") from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{where}: does not describe a model: {error}") from None

    def adapted(self, spec: Model) -> Config:
        """Return the config of a model of `spec` that starts from these weights, without the fields that no longer hold.

        The labels go with another number of classes, the digest with any tensor; another input size or number of channels
        changes the preprocessing (a channel more gets the mean of the old ones).
        """
        old, preprocessing = self.spec, self.preprocessing
        channels = spec.backbone.in_channels
        if channels != old.backbone.in_channels:
            mean, std = (sum(values) / len(values) for values in (preprocessing.mean, preprocessing.std))
            preprocessing = replace(preprocessing, mean=(mean,) * channels, std=(std,) * channels, channel_order="rgb")
        if spec.input_size != old.input_size:
            preprocessing = replace(preprocessing, size=spec.input_size)
        same_classes = spec.num_labels == old.num_labels  # without a head there are none
        same = spec.head == old.head and channels == old.backbone.in_channels
        return replace(
            self,
            spec=spec,
            labels=self.labels if same_classes else (),
            preprocessing=preprocessing,
            provenance=self.provenance if same else self.based_on(),
            digest=self.digest if same else "",
        )

    def with_digest(self, digest: str) -> Config:
        """Return the config of tensors of this digest: if they are others than before, the provenance becomes :meth:`based_on`."""
        changed = bool(self.digest) and digest != self.digest
        return replace(self, digest=digest, provenance=self.based_on() if changed else self.provenance)

    def based_on(self) -> dict[str, object]:
        """Return the provenance of tensors that began as these: ``based_on`` with name, digest and licence, and nothing else.

        Without a digest nothing is known to begin from but what the provenance itself names.
        """
        older = self.provenance.get("based_on")
        if not self.digest:
            return {"based_on": older} if older else {}
        licence = self.provenance.get("weights_licence") or self.provenance.get("licence")
        if licence is None and isinstance(older, Mapping):
            licence = older.get("licence")
        return {"based_on": {"name": self.model, "digest": self.digest, "licence": licence or "unknown"}}


def as_labels(labels: Iterable[object]) -> tuple[Label, ...]:
    """Convert names or labels to labels."""
    if isinstance(labels, str):
        raise CheckpointError(f"config.labels: expected a list of names or labels, found the text {labels!r}")
    converted = []
    for label in labels:
        if not isinstance(label, (str, Label)):
            raise CheckpointError(f"config.labels: expected names or labels, found {label!r}")
        converted.append(Label(label) if isinstance(label, str) else label)
    return tuple(converted)


def default_config(spec: Model, model: str = "custom") -> Config:
    """Return a config for weights without one: with the preprocessing of the registered `model`, else ImageNet's, at the size
    of `spec`."""
    channels = spec.backbone.in_channels
    base = replace(get_entry(model).preprocessing if is_registered(model) else Preprocessing(), size=spec.input_size)
    mean, std = (sum(values) / len(values) for values in (base.mean, base.std))
    preprocessing = base if channels == 3 else replace(base, mean=(mean,) * channels, std=(std,) * channels)
    return Config(model, spec, (), preprocessing)


def describe_model(
    model: object,
    spec: Model,
    labels: Iterable[object] = (),
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Config:
    """Return the config of a model of any framework. An argument of None keeps the value of ``model.config``, if there is one.

    With the provenance comes the digest of the tensors that it belongs to: :meth:`Config.with_digest` compares it when they are saved.
    """
    config = getattr(model, "config", None)
    base = config if isinstance(config, Config) else default_config(spec, str(getattr(model, "name", "custom")))
    return Config(
        base.model,
        spec,
        as_labels(labels) or base.labels,
        preprocessing or base.preprocessing,
        base.provenance if provenance is None else dict(provenance),
        base.digest if provenance is None else "",
    )


def _digest(data: Mapping[str, object]) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
