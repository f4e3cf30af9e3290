"""XML read without document types and entities, which make a small file large or read other files."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from axialzoo.data.faults import DataError

MOST_BYTES = 1 << 24  # of a file of labels of one picture


def parse_xml(content: bytes, where: str) -> Element:
    """Return the root of an XML file.

    Raises:
        DataError: naming the file: no XML, or with a document type or entities.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"{where}: expected an XML file of at most {MOST_BYTES:,} bytes, found {len(content):,}")
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: object) -> int:
        raise DataError(f"{where}: expected XML without a document type and entities, found <!DOCTYPE or <!ENTITY; remove it")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse  # no entity without a declaration
    parser.StartElementHandler = lambda name, attributes: builder.start(name, attributes)
    parser.EndElementHandler = lambda name: builder.end(name)
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, LookupError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: not valid XML ({error})") from None
