"""Items of a conversation and their content parts.

Rule: items are the server's. A type that we do not know becomes ``UnknownItem`` or ``UnknownPart`` with its
data, so a new kind of item never makes its event malformed. Enumerations (``status``, ``role``) are strings.
A field whose default is made by a factory is always written; ``omit_defaults`` leaves the others out.
"""

from typing import TYPE_CHECKING, ClassVar, TypeAlias

import msgspec
from msgspec import field

from agentkit.events.base import fill, settle_each

if TYPE_CHECKING:
    TextField: TypeAlias = str
else:
    # what msgspec sees; `fill` makes a `null` an empty text
    TextField = str | None


class ContentPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a message's content."""

    wire_type: ClassVar[str] = ""


class InputText(ContentPart, frozen=True, kw_only=True, tag="input_text"):
    """Text from the user or the system."""

    text: TextField = field(default_factory=str)

    def __post_init__(self) -> None:
        fill(self, "text", "")


class InputAudio(ContentPart, frozen=True, kw_only=True, tag="input_audio"):
    """Audio from the user."""

    audio: str | None = None
    """Base64, in the session's input format; servers leave it out but in ``conversation.item.retrieved``."""
    transcript: str | None = None


class InputImage(ContentPart, frozen=True, kw_only=True, tag="input_image"):
    """An image from the user (GA dialect)."""

    image_url: str | None = None
    """A data URI, PNG or JPEG."""
    detail: str | None = None


class OutputText(ContentPart, frozen=True, kw_only=True, tag="output_text"):
    """Text from the assistant."""

    text: TextField = field(default_factory=str)

    def __post_init__(self) -> None:
        fill(self, "text", "")


class OutputAudio(ContentPart, frozen=True, kw_only=True, tag="output_audio"):
    """Audio from the assistant."""

    audio: str | None = None
    transcript: str | None = None


class Text(OutputText, frozen=True, kw_only=True, tag="text"):
    """``output_text`` under its short name: beta's, and GA's own in ``response.content_part.*``."""


class Audio(OutputAudio, frozen=True, kw_only=True, tag="audio"):
    """``output_audio`` under its short name: beta's, and GA's own in ``response.content_part.*``."""


class ItemReferencePart(ContentPart, frozen=True, kw_only=True, tag="item_reference"):
    """A reference to an earlier item as a content part (beta dialect)."""

    id: str | None = None


class Unknown:
    """An object of a type that this version does not know, with its data; it is written as it was read."""

    __slots__ = ("data",)

    def __init__(self, data: dict[str, object]) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Unknown) and other.data == self.data

    def __hash__(self) -> int:
        return hash((type(self), self.wire_type))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data!r})"

    @property
    def wire_type(self) -> str:
        """Its type on the wire; empty where it has none."""
        return _text_or_none(self.data.get("type")) or ""


class UnknownPart(Unknown):
    """A content part of a type that this version does not know."""


AnyPart: TypeAlias = (
    InputText | InputAudio | InputImage | OutputText | OutputAudio | Text | Audio | ItemReferencePart | UnknownPart
)
_KNOWN_PARTS = InputText | InputAudio | InputImage | OutputText | OutputAudio | Text | Audio | ItemReferencePart

if TYPE_CHECKING:
    PartField: TypeAlias = AnyPart
    ContentField: TypeAlias = tuple[AnyPart, ...]
else:
    # what msgspec sees; agentkit.events.base.settle says why
    PartField = msgspec.Raw
    ContentField = tuple[msgspec.Raw, ...] | None

_decode_part = msgspec.json.Decoder(_KNOWN_PARTS).decode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode


def decode_part(raw: msgspec.Raw | bytes) -> AnyPart:
    """Decode one content part.

    Raises:
        msgspec.ValidationError: A part of a known type does not fit it.
    """
    try:
        part: AnyPart = _decode_part(raw)
    except msgspec.ValidationError:
        data = _decode_object(raw)
        if _text_or_none(data.get("type")) in PARTS:
            raise
        return UnknownPart(data)
    return part


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item of a conversation."""

    wire_type: ClassVar[str] = ""

    id: str | None = None
    """A client may choose it, and so recognise the server's answer to ``conversation.item.create``."""
    object: str | None = None
    status: str | None = None
    """``in_progress``, ``completed`` or ``incomplete``."""


class MessageItem(Item, frozen=True, kw_only=True, tag="message"):
    """A message of the user, the assistant or the system."""

    role: str
    content: ContentField = field(default_factory=lambda: ())

    def __post_init__(self) -> None:
        fill(self, "content", ())
        settle_each(self, "content", decode_part)

    @property
    def text(self) -> str:
        """All of the message's text and transcripts, joined."""
        texts = (
            part.text if isinstance(part, InputText | OutputText) else part.transcript
            for part in self.content
            if isinstance(part, InputText | OutputText | InputAudio | OutputAudio)
        )
        return "".join(text or "" for text in texts)


class FunctionCallItem(Item, frozen=True, kw_only=True, tag="function_call"):
    """The model asks for a call of one of our tools."""

    name: str
    arguments: TextField = field(default_factory=str)
    """JSON, cut short where ``status`` is not ``completed``."""
    call_id: str | None = None

    def __post_init__(self) -> None:
        fill(self, "arguments", "")


class FunctionCallOutputItem(Item, frozen=True, kw_only=True, tag="function_call_output"):
    """Our answer to a ``FunctionCallItem`` with the same ``call_id``."""

    call_id: str
    output: str


class McpTool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool that an MCP server offers."""

    name: str
    input_schema: object = None
    description: str | None = None
    annotations: object = None


class McpListToolsItem(Item, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools of an MCP server which the Realtime server has listed."""

    server_label: str
    tools: tuple[McpTool, ...] = field(default_factory=lambda: ())


class McpCallItem(Item, frozen=True, kw_only=True, tag="mcp_call"):
    """A call that the Realtime server makes to an MCP server by itself."""

    server_label: str
    name: str
    arguments: str = field(default_factory=str)
    output: str | None = None
    error: dict[str, object] | str | None = None
    approval_request_id: str | None = None


class McpApprovalRequestItem(Item, frozen=True, kw_only=True, tag="mcp_approval_request"):
    """The Realtime server asks whether it may make an MCP call."""

    server_label: str
    name: str
    arguments: str = field(default_factory=str)


class McpApprovalResponseItem(Item, frozen=True, kw_only=True, tag="mcp_approval_response"):
    """Our answer to a ``McpApprovalRequestItem``."""

    approval_request_id: str
    approve: bool
    reason: str | None = None


class ItemReference(Item, frozen=True, kw_only=True, tag="item_reference"):
    """A reference to an item, allowed only in ``response.create`` input."""


class UnknownItem(Unknown):
    """An item of a type that this version does not know."""

    @property
    def id(self) -> str | None:
        """The item's id."""
        return _text_or_none(self.data.get("id"))

    @property
    def status(self) -> str | None:
        """The item's status."""
        return _text_or_none(self.data.get("status"))


AnyItem: TypeAlias = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpListToolsItem
    | McpCallItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | ItemReference
    | UnknownItem
)
_KNOWN_ITEMS = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpListToolsItem
    | McpCallItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | ItemReference
)

PARTS: dict[str, type[ContentPart]] = {str(cls.__struct_config__.tag): cls for cls in _KNOWN_PARTS.__args__}
"""Content part classes by their type on the wire."""
ITEMS: dict[str, type[Item]] = {str(cls.__struct_config__.tag): cls for cls in _KNOWN_ITEMS.__args__}
"""Item classes by their type on the wire."""
for _tag, _part in PARTS.items():
    _part.wire_type = _tag
for _tag, _item in ITEMS.items():
    _item.wire_type = _tag

if TYPE_CHECKING:
    ItemField: TypeAlias = AnyItem
    ItemsField: TypeAlias = tuple[AnyItem, ...]
else:
    ItemField = msgspec.Raw
    ItemsField = tuple[msgspec.Raw, ...]

_decode_item = msgspec.json.Decoder(_KNOWN_ITEMS).decode


def decode_item(raw: msgspec.Raw | bytes) -> AnyItem:
    """Decode one item.

    Raises:
        msgspec.ValidationError: An item of a known type does not fit it, or it is no object with a type.
    """
    try:
        item: AnyItem = _decode_item(raw)
    except msgspec.ValidationError:
        data = _decode_object(raw)
        if _text_or_none(data.get("type")) in ITEMS:
            raise
        return UnknownItem(data)
    return item


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def written(value: object) -> object:
    """Return what an unknown part or item is written as (an ``enc_hook`` of msgspec).

    Raises:
        TypeError: The value cannot be on the wire.
    """
    if isinstance(value, Unknown):
        return value.data
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
