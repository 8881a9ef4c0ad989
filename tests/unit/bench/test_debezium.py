"""The peer's settings: tuned, comparable, and written as Java reads them."""

from __future__ import annotations

import pytest

from bench.debezium import connectors, jars, sources
from bench.debezium.connectors import Format
from bench.sites import SITES

URL = "postgresql://post%40gres:secret@127.0.0.1:5432/shop"


def test_both_converters_of_avro_ask_the_registry_and_register_nothing() -> None:
    settings = connectors.converters(Format.AVRO, "http://registry")

    assert {settings[f"{side}.converter.apicurio.registry.auto-register"] for side in ("key", "value")} == {"false"}
    assert {settings[f"{side}.converter.apicurio.registry.url"] for side in ("key", "value")} == {"http://registry"}


@pytest.mark.parametrize(("form", "schemas"), [(Format.JSON, "true"), (Format.PLAIN_JSON, "false")])
def test_json_has_its_schema_in_each_message_unless_it_is_plain(form: Format, schemas: str) -> None:
    settings = connectors.converters(form, "")

    assert {settings[f"{side}.converter.schemas.enable"] for side in ("key", "value")} == {schemas}


def test_tombstones_are_dropped_before_the_sink_unless_its_default_is_to_be_shown() -> None:
    tuned = connectors.sink(URL, "a.*", "t")
    default = connectors.sink(URL, "a.*", "t", drop_tombstones=False)

    assert tuned["transforms.tombstones.predicate"] == tuned["predicates"]
    assert tuned[f"predicates.{tuned['predicates']}.type"].endswith("RecordIsTombstone")
    assert {name: value for name, value in tuned.items() if name not in connectors._TOMBSTONE_FILTER} == default


def test_the_sink_polls_as_much_as_it_writes_at_once() -> None:
    settings = connectors.sink(URL, "a.*", "t")

    assert int(settings["consumer.override.max.poll.records"]) >= int(settings["batch.size"])


def test_an_address_is_taken_apart_for_both_connectors() -> None:
    place = sources.Place(URL, "public", "bench", "kafka:9092")
    source, sink = sources.postgresql(place), connectors.sink(URL, "a.*", "t")

    assert (source["database.user"], source["database.port"], source["database.dbname"]) == (
        "post@gres",
        "5432",
        "shop",
    )
    assert sink["connection.url"].startswith("jdbc:postgresql://127.0.0.1:5432/shop?")
    assert (sink["connection.username"], sink["connection.password"]) == ("post@gres", "secret")


def test_backslashes_of_patterns_survive_a_properties_file() -> None:
    assert connectors.properties({"b": r"public\..*", "a": "1"}) == "a=1\nb=public\\\\..*\n"


@pytest.mark.parametrize("kind", sources.SOURCES)
def test_a_second_connector_shares_nothing_that_the_first_one_keeps(kind: str) -> None:
    settings = sources.SOURCES[kind](sources.Place(URL, "public", "bench", "kafka:9092"))
    other = sources.other_identity(settings, "announce")

    assert other
    assert all(settings[name] != value for name, value in other.items())


def test_every_kind_of_source_has_a_connector_and_a_place_to_live() -> None:
    assert {*jars.SOURCES} == {*sources.SOURCES} == {*SITES}
