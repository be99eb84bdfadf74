"""One kind by name, its options under it: how every part of a scenario is chosen.

    scheduler: eevdf                     a kind's name alone: all its options at their defaults
    scheduler: {eevdf: {slice: 3ms}}     one key, the kind's name; its options under it
    service: {exponential: 20us}         a kind may offer a shorthand for its main option
    service: 20us                        a choice may have a kind that a bare value stands for

The kinds come from a callable, called when pydantic first builds the schema and not at import, so
that plug-ins need not be found before they are asked for:

    SchedulerChoice = Annotated[Chosen[SchedulerOptions], OneOf("scheduler", find_schedulers)]

*Scope*: `Options`, the base of every configuration class; `OneOf` and `Chosen`; and
`problems_from`, which turns pydantic's errors into problems with line and column.

*Not done*: a kind is a name and an options class; what it does belongs to its own file.

*Validated by*: tests/unit/test_choice.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from iosim.errors import Mismatch, Problem, did_you_mean, path_text, shown

if TYPE_CHECKING:
    from pydantic import (
        GetCoreSchemaHandler,
        GetJsonSchemaHandler,
        ModelWrapValidatorHandler,
        SerializationInfo,
    )
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import ErrorDetails

    from iosim.yaml_source import Source

T = TypeVar("T")
OptionsT_co = TypeVar("OptionsT_co", covariant=True)

Many = Annotated[tuple[T, ...], Strict(False)]
"""A frozen list: `models: Many[ModelChoice]`. Strict validation would refuse YAML's list for it."""

_LABEL = "label"
_UNKNOWN_KEY = "unknown_key"
_MOST_KEYS = 10


class Options(BaseModel):
    """Hold configuration: frozen, no unknown keys, no types guessed, defaults validated too.

    A default is spelled as a user would spell it: `wait: Duration = Field(default="20us",
    validate_default=True)`; naming `validate_default` once more tells a type checker so.
    A class that offers a shorthand defines `from_shorthand(cls, value) -> dict`, which turns any
    value that is no mapping into the fields it stands for, unvalidated.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        # Plug-ins are many and a run uses few: no validator is built before its first use.
        defer_build=True,
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_known_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Add to each unknown key's error the keys this class knows, which pydantic leaves out."""
        try:
            return handler(data)
        except ValidationError as error:
            known = [f.alias or name for name, f in cls.model_fields.items()]
            raise _rebuilt(cls.__name__, error, lambda e: _unknown_key(e, known)) from None


def _unknown_key(error: ErrorDetails, known: list[str]) -> Mapping[str, Any] | None:
    """Return the context to give to an unknown key's error of this very level."""
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return {"known": tuple(known)}
    return None


def _rebuilt(
    title: str,
    error: ValidationError,
    context_of_unknown_key: Callable[[ErrorDetails], Mapping[str, Any] | None],
) -> ValidationError:
    """Copy an error, turning the details picked out by the callable into unknown-key errors."""
    return ValidationError.from_exception_data(title, _lines(error, context_of_unknown_key))


def _lines(
    error: ValidationError,
    context_of_unknown_key: Callable[[ErrorDetails], Mapping[str, Any] | None],
) -> list[InitErrorDetails]:
    lines: list[InitErrorDetails] = []
    for detail in error.errors(include_url=False):
        kind: str | PydanticCustomError = detail["type"]
        context = detail.get("ctx", {})
        if (replaced := context_of_unknown_key(detail)) is not None:
            kind, context = _UNKNOWN_KEY, dict(replaced)
        if kind == _UNKNOWN_KEY:
            kind = PydanticCustomError(_UNKNOWN_KEY, "unknown key", context)
        lines.append({"type": kind, "loc": detail["loc"], "input": detail["input"], "ctx": context})
    return lines


@dataclass(frozen=True, slots=True)
class Chosen(Generic[OptionsT_co]):
    """The kind chosen and its validated options; the label is the entry's own, not the kind's."""

    kind: str
    options: OptionsT_co
    label: str | None = None


@dataclass(frozen=True, slots=True)
class _Pick:
    """What one YAML value chooses, before its options are validated."""

    kind: str
    options: object


@dataclass(frozen=True, eq=False)
class OneOf:
    """Make an annotated `Chosen` field read one of the kinds returned by `kinds`.

    noun: what is being chosen, for messages, such as "scheduler". kinds: name -> options class.
    labelled: a `label` may stand among the options. default_kind: the kind for which a bare value
    (`20us`) stands; it must offer a shorthand. broken: kinds that are there and cannot be chosen,
    name -> why.
    """

    noun: str
    kinds: Callable[[], Mapping[str, type[BaseModel]]]
    labelled: bool = False
    default_kind: str | None = None
    broken: Callable[[], Mapping[str, str]] = dict

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        # The YAML mapping itself is the schema: every kind is an optional key of it, of which
        # exactly one is present. So pydantic's error locations are the paths in the file.
        kinds = dict(self.kinds())
        fields = {
            kind: core_schema.typed_dict_field(
                core_schema.no_info_before_validator_function(
                    partial(self._options_input, options),
                    handler.generate_schema(options),
                ),
                required=False,
            )
            for kind, options in kinds.items()
        }
        if self.labelled:
            fields[_LABEL] = self._label_field(kinds)

        def validate(value: object, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return self._validate(value, kinds, inner)

        return core_schema.no_info_wrap_validator_function(
            validate,
            core_schema.typed_dict_schema(fields),
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kinds = dict(self.kinds())
        # A dumped choice reads back, so it has one schema for both directions.
        both_ways: Any = {key: part for key, part in schema.items() if key != "serialization"}
        fields = handler.resolve_ref_schema(handler(both_ways))["properties"]
        forms: list[JsonSchemaValue] = [self._names_schema(list(kinds))]
        for kind, options in kinds.items():
            body: JsonSchemaValue = fields[kind]
            if self.labelled:
                # A $ref with additionalProperties false cannot be added to: written out instead.
                body = dict(handler.resolve_ref_schema(body))
                label = {"type": "string", "minLength": 1, "description": "The entry's own name."}
                body["properties"] = {**body.get("properties", {}), _LABEL: label}
            other: list[JsonSchemaValue] = [{"type": "null"}]
            if hasattr(options, "from_shorthand"):
                other = [{"not": {"type": "object"}}]
            elif any(field.is_required() for field in options.model_fields.values()):
                other = []
            form = {
                "type": "object",
                "properties": {kind: {"anyOf": [body, *other]} if other else body},
                "required": [kind],
                "additionalProperties": False,
            }
            if options.__doc__:
                form["description"] = options.__doc__.strip().splitlines()[0]
            forms.append(form)
        return {"oneOf": forms}

    def _names_schema(self, names: list[str]) -> JsonSchemaValue:
        """Return the schema of everything that is no mapping."""
        enum: JsonSchemaValue = {"enum": names, "description": f"The {self.noun}, by name."}
        if self.default_kind is None:
            return enum
        bare = {"type": "string", "description": f"A value for '{self.default_kind}'."}
        return {"anyOf": [enum, bare]}

    def _label_field(self, kinds: Mapping[str, type[BaseModel]]) -> core_schema.TypedDictField:
        for kind, options in kinds.items():
            if _LABEL in options.model_fields:
                raise TypeError(f"{self.noun} '{kind}' has an option 'label', which is the entry's")
        paths: list[list[str | int]] = [[kind, _LABEL] for kind in kinds]
        return core_schema.typed_dict_field(
            core_schema.no_info_before_validator_function(_label, core_schema.str_schema()),
            required=False,
            validation_alias=paths,
        )

    def _options_input(self, options: type[BaseModel], value: object) -> object:
        """Return what the options class is to validate: a mapping, or a mistake for it to name."""
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return {k: v for k, v in value.items() if not (self.labelled and k == _LABEL)}
        shorthand = getattr(options, "from_shorthand", None)
        return value if shorthand is None else shorthand(value)

    def _validate(
        self,
        value: object,
        kinds: Mapping[str, type[BaseModel]],
        inner: core_schema.ValidatorFunctionWrapHandler,
    ) -> Chosen[BaseModel]:
        if isinstance(value, Chosen):
            if isinstance(value.options, kinds.get(value.kind, ())):
                return value
            raise Mismatch(self._expected(kinds), f"a Chosen of kind {shown(value.kind)}")
        if isinstance(value, Mapping) and len(value) > 1:
            raise self._several(value, kinds, inner)
        pick = self._pick(value, kinds)
        try:
            fields = inner({pick.kind: pick.options})
        except ValidationError as error:
            raise _rebuilt(self.noun, error, self._with_label) from None
        return Chosen(pick.kind, fields[pick.kind], fields.get(_LABEL))

    def _several(
        self,
        value: Mapping[Any, Any],
        kinds: Mapping[str, type[BaseModel]],
        inner: core_schema.ValidatorFunctionWrapHandler,
    ) -> ValidationError:
        """Build the error for more keys than one, with what is wrong under the kinds among them."""
        found = f"{len(value)} keys: {_keys(value)}"
        mismatch = Mismatch(self._expected(kinds), found, _indent_hint(value, kinds))
        lines: list[InitErrorDetails] = [
            {"type": "value_error", "loc": (), "input": value, "ctx": {"error": mismatch}}
        ]
        for kind in kinds:
            if kind in value:
                try:
                    inner({kind: value[kind]})
                except ValidationError as error:
                    known = _rebuilt(self.noun, error, self._with_label)
                    lines += _lines(known, lambda _: None)
        return ValidationError.from_exception_data(self.noun, lines)

    def _with_label(self, error: ErrorDetails) -> Mapping[str, Any] | None:
        """Add `label` to the keys known right under a kind."""
        if not (self.labelled and error["type"] == _UNKNOWN_KEY and len(error["loc"]) == 2):
            return None
        return {"known": (*error["ctx"]["known"], _LABEL)}

    def _pick(self, value: object, kinds: Mapping[str, type[BaseModel]]) -> _Pick:
        """Find the one kind that a value names. Raises Mismatch or ValidationError."""
        if isinstance(value, str) and value in kinds:
            return _Pick(value, None)
        if not isinstance(value, Mapping):
            # Quantities begin with a digit or a sign; any other word is a kind misspelled.
            word = isinstance(value, str) and not re.match(r"[-+.]?[0-9]", value)
            if self.default_kind is None or value is None or word:
                raise Mismatch(self._expected(kinds), shown(value), self._hint(value, kinds))
            return _Pick(self.default_kind, value)
        if not value:
            raise Mismatch(self._expected(kinds), shown(value))
        ((kind, options),) = value.items()
        if kind not in kinds:
            mismatch = Mismatch(self._expected(kinds), shown(kind), self._hint(kind, kinds))
            # Raised with the key as its location, so that it is told where the key stands.
            line = InitErrorDetails(
                type="value_error", loc=(kind,), input=kind, ctx={"error": mismatch}
            )
            raise ValidationError.from_exception_data(self.noun, [line])
        return _Pick(kind, options)

    def _hint(self, word: object, kinds: Mapping[str, type[BaseModel]]) -> str | None:
        """Say why a kind that is there cannot be chosen, or which one may have been meant."""
        broken = self.broken()
        if isinstance(word, str) and word in broken:
            return f"it is installed, but broken: {broken[word]}"
        return did_you_mean(word, kinds)

    def _expected(self, kinds: Mapping[str, type[BaseModel]]) -> str:
        return f"one {self.noun}: {_listed(list(kinds), last=' or ')}"


def _label(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Mismatch("a label, a string that is not empty", shown(value))
    if value.splitlines() != [value]:
        raise Mismatch("a label without line breaks", shown(value))
    return value


def _dump(chosen: Any, info: SerializationInfo) -> dict[str, Any]:
    """Write a choice back as the mapping with one key that it was read from."""
    options = chosen.options.model_dump(
        mode=info.mode,
        by_alias=info.by_alias,
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )
    return {chosen.kind: options if chosen.label is None else {**options, _LABEL: chosen.label}}


def _indent_hint(value: Mapping[Any, Any], kinds: Mapping[str, type[BaseModel]]) -> str | None:
    """Guess at the commonest slip in YAML: options that stand beside their kind, not under it."""
    named = [key for key in value if key in kinds]
    if len(named) != 1:
        return None
    beside = [key for key in value if key in (*kinds[named[0]].model_fields, _LABEL)]
    return f"did you mean to indent {beside[0]!r} under '{named[0]}'?" if beside else None


def _listed(words: list[Any], last: str = " and ") -> str:
    """List words in a sentence: `'a', 'b' and 'c'`."""
    quoted = [shown(word) for word in words]
    return last.join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)


def _keys(value: Mapping[Any, Any]) -> str:
    """List the keys found in a mapping, some of them if they are many."""
    keys = list(value)
    return _listed(keys) if len(keys) <= _MOST_KEYS else _listed(keys[:_MOST_KEYS], ", ") + ", ..."


# From pydantic's errors to problems


def problems_from(error: ValidationError, source: Source) -> tuple[Problem, ...]:
    """Tell pydantic's errors as problems of the file that `source` was read from."""
    problems: dict[tuple[object, ...], Problem] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the valid items alone; the others are told by themselves
        path, value = _path_in(source.data, detail["loc"])
        if detail["type"] == "too_short" and len(value) >= detail["ctx"]["min_length"]:
            continue  # those that are wrong were not counted, and are told themselves
        expected, found, hint = _words(detail, path, value)
        line, column = source.locate(path)
        problem = Problem(source.file, line, column, path_text(path), expected, found, hint)
        # A union fails once for every type it might have been; that is one problem.
        same = (path, found, expected if detail["type"] == "missing" else None)
        if (earlier := problems.get(same)) is not None:
            either = f"{earlier.expected} or {expected}"
            problem = Problem(source.file, line, column, path_text(path), either, found, hint)
        problems[same] = problem
    return tuple(problems.values())


def _path_in(data: Any, loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], Any]:
    """Return the part of a location that exists in the file, and the value found there.

    What pydantic adds to a location (tags of a union, the option for which a shorthand stands) and
    the name of a missing key have no place in the file.
    """
    path: list[str | int] = []
    for part in loc:
        is_item = isinstance(part, int) and isinstance(data, list) and 0 <= part < len(data)
        if is_item or (isinstance(part, str) and isinstance(data, dict) and part in data):
            path.append(part)
            data = data[part]
    return tuple(path), data


def _words(
    error: ErrorDetails, path: tuple[str | int, ...], value: Any
) -> tuple[str, str, str | None]:
    """Say what was expected, what was found, and what may have been meant."""
    context = error.get("ctx", {})
    if isinstance(raised := context.get("error"), Mismatch):
        return raised.expected, raised.found, raised.hint
    if raised is not None:
        return str(raised), shown(value), None
    key = error["loc"][-1] if error["loc"] else ""
    if error["type"] == "missing":
        # A kind named alone has no mapping yet in which its key could be missing.
        above = error["loc"][-2:-1]
        under = f" under '{above[0]}'" if above and above != path[-1:] else ""
        return f"key {key!r}{under}", _only(value), None
    if error["type"] in (_UNKNOWN_KEY, "extra_forbidden"):
        known = list(context.get("known", ()))
        expected = f"one of the keys {_listed(known, last=' or ')}" if known else "no options"
        return expected, shown(key), did_you_mean(key, known)
    if error["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        return context["expected"], shown(value), did_you_mean(value, words)
    if (template := _EXPECTED.get(error["type"])) is not None:
        return template.format(**context), shown(value), None
    return error["msg"].removeprefix("Input should be "), shown(value), None


def _only(value: Any) -> str:
    """Say what stands where a key is missing."""
    if isinstance(value, dict) and value:
        return f"only {_keys(value)}"
    return f"only {shown(value)}" if isinstance(value, str) else shown(value)


# Pydantic's error types in the words of someone who wrote YAML, not Python.
_EXPECTED: Mapping[str, str] = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a string",
    "none_required": "nothing (null)",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "a string of at least {min_length} characters",
    "string_too_long": "a string of at most {max_length} characters",
    "string_pattern_mismatch": "a string that matches {pattern}",
}
