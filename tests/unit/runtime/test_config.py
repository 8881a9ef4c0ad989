from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict

from runtime import config
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

#: The smallest pipeline file of the manual, letter by letter.
SMALLEST = """\
pipeline: shop                          # topic prefix; also names slot, publication, consumer group, control rows
kafka:
  bootstrap_servers: ${env:KAFKA}       # any librdkafka setting may be added under `properties:`
source:
  type: postgresql                      # postgresql | mysql | mariadb | oracle | mongodb
  url: ${env:SOURCE_URL}                # postgresql:// mysql:// oracle:// mongodb://
target:
  url: ${env:TARGET_URL}                # Aurora PostgreSQL, or any PostgreSQL 13+
tables:
  - include: public.*                   # <schema>.<table> patterns; MySQL and MongoDB: <database>.<table>
"""
PASSWORD = "canary-pw"
ALL = {"kafka", "source", "target"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA", "127.0.0.1:9092")
    monkeypatch.setenv("SOURCE_URL", f"postgresql://u:{PASSWORD}@h1:1,h2:2/db")
    monkeypatch.setenv("TARGET_URL", f"postgresql://u:{PASSWORD}@127.0.0.1/db")


@pytest.fixture
def load(tmp_path: Path):
    def _load(text: str, sections: set[str] = ALL) -> config.Pipeline:
        path = tmp_path / "pipeline.yaml"
        path.write_text(text)
        return config.load(path, sections)

    return _load


@pytest.fixture
def faults(load):
    """The faults of a file, by place."""

    def _faults(text: str, sections: set[str] = ALL) -> dict[str, tuple[str, str]]:
        with pytest.raises(ConfigError) as caught:
            load(text, sections)
        return {fault.where: (fault.what, fault.fix) for fault in caught.value.faults}

    return _faults


def with_line(line: str, under: str) -> str:
    return SMALLEST.replace(f"{under}:\n", f"{under}:\n  {line}\n")


def test_the_smallest_file_works_as_it_stands(load) -> None:
    pipeline = load(SMALLEST)

    assert pipeline.pipeline == "shop"
    assert pipeline.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert pipeline.source.slot.name == pipeline.source.publication.name == "ferryman_shop"
    assert pipeline.source.conninfo == f"postgresql://u:{PASSWORD}@h1:1,h2:2/db"
    assert pipeline.tables.matches("public", "orders")
    assert not pipeline.tables.matches("private", "orders")
    assert pipeline.topics.retention_ms == -1


@pytest.mark.parametrize("show", [repr, str, lambda p: p.model_dump_json(), lambda p: repr(p.model_dump())])
def test_secrets_are_never_shown(load, show) -> None:
    text = with_line(f"password: {PASSWORD}", "target")
    text = text.replace("tables:", "topics: {}\ntables:").replace(
        "kafka:\n", f"kafka:\n  properties: {{sasl.password: {PASSWORD}}}\n"
    )

    pipeline = load(text)

    assert pipeline.kafka.properties["sasl.password"] == PASSWORD
    assert PASSWORD not in show(pipeline)


def test_secrets_of_sections_not_asked_for_are_not_looked_up(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TARGET_URL")

    pipeline = load(SMALLEST, {"kafka", "source"})

    assert pipeline.target is None
    assert pipeline.source is not None


def test_a_section_that_is_asked_for_must_be_there(faults) -> None:
    without = SMALLEST.partition("target:")[0] + "tables: [{include: public.*}]\n"

    assert faults(without) == {"target": ("is missing", "add a section `target:`")}


def test_a_file_for_capture_alone_needs_no_target(load) -> None:
    without = SMALLEST.partition("target:")[0] + "tables: [{include: public.*}]\n"

    assert load(without, {"kafka", "source"}).target is None


def test_all_faults_are_reported_at_once_each_with_its_place_and_fix(faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_URL")
    found = faults(
        SMALLEST.replace("shop", "Shop", 1)
        .replace("include: public", "inclde: public")
        .replace("bootstrap_servers", "bootstrap_server")
        + "topics: {partitions: 4, retention: 5, colour: red}\nmode: cdc_only\nmod: x\n"
    )

    assert found["pipeline"][0] == "does not match ^[a-z][a-z0-9_]{0,39}$"
    assert found["kafka.bootstrap_server"][1] == "did you mean `bootstrap_servers`?"
    assert found["source.url"] == ("the environment variable SOURCE_URL is not set", "export SOURCE_URL=...")
    assert found["tables[0].inclde"][1] == "did you mean `include`?"
    assert found["topics.partitions"][0] == "more than one partition is not available in this version"
    assert found["topics.retention"][0] == "is no duration"
    assert found["topics.colour"][1].startswith("remove it; known here: cleanup, create")
    assert found["mode"] == ("cdc_only is not available in this version", "use full_load_and_cdc")
    assert found["mod"][1] == "did you mean `mode`?"
    assert all(what and fix for what, fix in found.values())


def test_unknown_keys_are_faults_in_sections_not_asked_for_too(faults) -> None:
    assert "target.hots" in faults(with_line("hots: x", "target"), {"kafka", "source"})


def test_the_faults_of_a_file_never_repeat_its_values(load, tmp_path: Path) -> None:
    text = with_line(f"port: {PASSWORD}", "target").replace("include:", f"include: [{PASSWORD!r}] #")

    with pytest.raises(ConfigError) as caught:
        load(text.replace("${env:TARGET_URL}", f"postgresql://[{PASSWORD}"))

    assert PASSWORD not in str([f for f in caught.value.faults if not f.where.startswith("tables")])


@pytest.mark.parametrize("name", ["a", "shop_2", "a" * 40])
def test_pipeline_names_that_are_good(load, name: str) -> None:
    assert load(SMALLEST.replace("shop", name, 1)).pipeline == name


@pytest.mark.parametrize("name", ["A", "2a", "_a", "a-b", "a.b", "a" * 41, '""', "yes", "é", '"a\\n"'])
def test_pipeline_names_that_are_not(faults, name: str) -> None:
    assert "pipeline" in faults(SMALLEST.replace("shop", name, 1))


@pytest.mark.parametrize(
    "setting", ["acks: 1", "enable.idempotence: false", "auto.offset.reset: latest", "enable.auto.commit: true"]
)
def test_settings_that_carry_a_promise_may_not_be_overridden(faults, setting: str) -> None:
    found = faults(with_line(f"properties: {{{setting}}}", "kafka"))

    assert found["kafka.properties"][0] == f"may not set {setting.partition(':')[0]}"


def test_kafka_properties_reach_librdkafka_as_text(load) -> None:
    pipeline = load(with_line("properties: {linger.ms: 5, enable.ssl.certificate.verification: true}", "kafka"))

    assert pipeline.kafka.properties == {"linger.ms": "5", "enable.ssl.certificate.verification": "true"}


def test_a_password_beside_the_url_overrides_the_url_s(load) -> None:
    pipeline = load(with_line("password: other", "target"))

    assert "password=other" in pipeline.target.conninfo
    assert PASSWORD not in pipeline.target.conninfo


def test_a_database_may_be_given_in_parts(load) -> None:
    parts = "host: db\n  port: 5433\n  user: u\n  password: 'p w'\n  dbname: d"

    pipeline = load(SMALLEST.replace("url: ${env:TARGET_URL}", parts))

    given = {"host": "db", "port": "5433", "user": "u", "password": "p w", "dbname": "d"}
    assert conninfo_to_dict(pipeline.target.conninfo) == given


def test_a_number_may_be_given_by_reference(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5433")

    pipeline = load(SMALLEST.replace("url: ${env:TARGET_URL}", "host: db\n  port: ${env:PORT}"))

    assert "port=5433" in pipeline.target.conninfo


def test_a_url_and_parts_together_are_a_fault(faults) -> None:
    assert faults(with_line("host: db", "target"))["target"][0] == "has both url and host"


def test_neither_url_nor_host_is_a_fault(faults) -> None:
    assert faults(SMALLEST.replace("url: ${env:TARGET_URL}", "user: u"))["target"][0] == "has neither url nor host"


def test_plaintext_is_accepted_only_where_the_file_says_so(load) -> None:
    text = SMALLEST.replace("${env:TARGET_URL}", "postgresql://u@db.example.com/d")

    assert load(text).target.conninfo == "postgresql://u@db.example.com/d"
    assert "sslmode=prefer" in load(text.replace("target:\n", "target:\n  tls: insecure\n")).target.conninfo


@pytest.mark.parametrize("kind", ["oracle", "mongodb"])
def test_sources_that_are_not_there_yet_are_refused_clearly(faults, kind: str) -> None:
    found = faults(SMALLEST.replace("type: postgresql", f"type: {kind}"))

    assert found["source.type"][0] == f"{kind} is not available in this version"


MYSQL = SMALLEST.replace("type: postgresql", "type: mysql").replace(
    "${env:SOURCE_URL}", "mysql://u:old@db:3307/?ssl-ca=/x"
)


def test_a_mysql_source_has_a_server_id_of_its_pipeline(load) -> None:
    source = load(MYSQL).source

    assert source.conninfo == "mysql://u:old@db:3307/?ssl-ca=%2Fx"
    assert 1 << 31 <= source.server_id < 1 << 32
    assert source.server_id != load(MYSQL.replace("shop", "other", 1)).source.server_id
    assert load(MYSQL.replace("type:", "server_id: 7\n  type:")).source.server_id == 7


def test_a_mariadb_may_be_given_in_parts(load) -> None:
    parts = "host: db\n  user: u\n  password: 'p w'\n  tls: insecure"

    source = load(SMALLEST.replace("postgresql", "mariadb", 1).replace("url: ${env:SOURCE_URL}", parts)).source

    assert source.conninfo == "mysql://u:p%20w@db:3306/?ssl-mode=PREFERRED"


@pytest.mark.parametrize("line", ["slot: {name: x}", "publication: {create: false}", "replica_identity: manage"])
def test_settings_for_postgresql_alone_are_refused_for_mysql(faults, line: str) -> None:
    found = faults(MYSQL.replace("type:", f"{line}\n  type:"))

    assert found["source"][0] == f"{line.partition(':')[0]}: a setting for PostgreSQL sources only"


def test_settings_for_mysql_alone_are_refused_for_postgresql(faults) -> None:
    assert faults(with_line("server_id: 7", "source"))["source"][0] == "server_id: a setting for MySQL sources only"


def test_a_postgresql_url_is_no_mysql_url(faults) -> None:
    found = faults(SMALLEST.replace("type: postgresql", "type: mysql"))

    assert found["source"][0] == "the connection URL cannot be read"


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("unlimited", -1), ("7d", 604_800_000), ("12h", 43_200_000), ("90m", 5_400_000), ("30s", 30_000), ("1ms", 1)],
)
def test_retention_is_unlimited_or_a_duration(load, text: str, milliseconds: int) -> None:
    assert load(SMALLEST + f"topics: {{retention: {text}}}\n").topics.retention_ms == milliseconds


@pytest.mark.parametrize("text", ["7", "0d", "-1d", "1.5h", "7 d", "forever", "{}"])
def test_other_retentions_are_faults(faults, text: str) -> None:
    assert "topics.retention" in faults(SMALLEST + f"topics: {{retention: {text}}}\n")


def test_an_exclude_beats_every_include(load) -> None:
    rules = "  - include: [public.*, 'audit.*']\n    exclude: public.tmp_*\n  - include: public.tmp_1\n  - exclude: audit.x\n"
    tables = load(SMALLEST.partition("tables:")[0] + "tables:\n" + rules).tables

    assert tables.matches("public", "orders")
    assert not tables.matches("public", "tmp_1")
    assert not tables.matches("audit", "x")
    assert tables.schemas == ["public", "audit"]


@pytest.mark.parametrize(
    "rules", ["[]", "[{}]", "[{exclude: public.x}]", "public.*", "[public.*]", "{include: public.*}"]
)
def test_tables_that_select_nothing_are_faults(faults, rules: str) -> None:
    found = faults(SMALLEST.partition("tables:")[0] + f"tables: {rules}\n")

    assert all(where.startswith("tables") for where in found)


@pytest.mark.parametrize("pauses", ["stuck_seconds: 60", "longest_seconds: 120", "blocked_seconds: 300"])
def test_a_daemon_that_pauses_is_not_stuck(faults, pauses: str) -> None:
    found = faults(SMALLEST + f"retry: {{{pauses}}}\n")

    assert found["retry"][0] == "stuck_seconds is no longer than the longest pause"


def test_a_pipeline_cannot_be_changed(load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(SMALLEST).pipeline = "other"


def test_a_pipeline_survives_the_way_to_a_worker_process(load) -> None:
    pipeline = load(SMALLEST)

    assert pickle.loads(pickle.dumps(pipeline)) == pipeline
