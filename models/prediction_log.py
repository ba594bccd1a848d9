"""The prediction log: the server's answers and the feedback on them, in SQLite or PostgreSQL, through SQLAlchemy.

Texts are stored only if the operator turns that on, or if they were sent as feedback. Times are seconds since 1970.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from commentwise.comments.traits import Traits
from commentwise.errors import CommentwiseError

SCHEMA_VERSION = 2
DIALECTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The insert statement of each dialect that can ignore rows which exist."""
CONNECT_SECONDS = 5
COLUMN_TYPES: dict[Any, type[Integer] | type[Double[float]]] = {int: Integer, float: Double}
"""SQL types of the columns that describe a comment without its text, one column per field of `commentwise.comments.traits.Traits`."""

metadata = MetaData()

schema_version = Table("commentwise_schema", metadata, Column("version", Integer, primary_key=True))

predictions = Table(
    "predictions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("time", Double, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("position", Integer, nullable=False),
    Column("bundle_id", String(64), nullable=False),
    Column("text_hash", String(32), nullable=False),
    *(Column(trait.name, COLUMN_TYPES[trait.type], nullable=False) for trait in fields(Traits)),
    Column("truncated", Boolean, nullable=False),
    Column("language", String(35)),  # null in rows that version 1 of the tables holds
    Column("label", String(200), nullable=False),
    Column("probabilities", JSON, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("text", Text),
    Index("predictions_time", "time"),
    Index("predictions_request", "request_id"),
    Index("predictions_text", "text_hash"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("time", Double, nullable=False),
    Column("request_id", String(128)),
    Column("position", Integer),
    Column("text_hash", String(32)),
    Column("text", Text),
    Column("label", String(200), nullable=False),
    Column("predicted", String(200)),
    Column("bundle_id", String(64)),
    Column("source", String(64), nullable=False),
    Column("rater", String(64), nullable=False),
    Index("feedback_time", "time"),
    Index("feedback_text", "text_hash"),
)


@dataclass(frozen=True)
class Feedback:
    """A person's label for a comment: for the prediction `request_id`, `position`, or for `text`."""

    id: str
    time: float
    request_id: str | None
    position: int | None
    text_hash: str | None
    text: str | None
    label: str
    predicted: str | None
    bundle_id: str | None
    source: str
    rater: str
    """The owner of the API key; empty if the server has no keys."""


def check_url(url: str) -> None:
    """Raise CommentwiseError unless this is the URL of a database that this installation can use."""
    try:
        address = make_url(url)
        if address.get_backend_name() not in DIALECTS:
            raise CommentwiseError(
                f"the log {shown(url)} is neither sqlite:///FILE nor postgresql+psycopg://…: name one"
            )
        address.get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:
        raise CommentwiseError(
            f"the log {shown(url)} needs a driver ({error}): pip install 'psycopg[binary]'"
        ) from None
    except ArgumentError:
        raise CommentwiseError(
            f"the log {url.partition('@')[2] or url!r} is no URL: write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from None


def shown(url: str) -> str:
    """The URL of a database for messages, without its password."""
    return make_url(url).render_as_string(hide_password=True)


def connect(url: str) -> Engine:
    """An engine for the log, whose tables `prepare` creates. Raises CommentwiseError when the URL is not usable."""
    check_url(url)
    if make_url(url).get_backend_name() == "postgresql":
        # The database's own timeouts: a connection that hangs is an error within seconds.
        options = {"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={60_000}"}
        return create_engine(url, pool_pre_ping=True, pool_size=2, connect_args=options)
    engine = create_engine(url, connect_args={"timeout": CONNECT_SECONDS})

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not block each other
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def prepare(engine: Engine) -> None:
    """Create the tables, or upgrade them to this version. Raises CommentwiseError when they are of a later version."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # two servers may start at once
            connection.execute(select(func.pg_advisory_xact_lock(0x636F6D6D)))
        metadata.create_all(connection)
        found = connection.scalar(select(func.max(schema_version.c.version)))
        if found is None:
            connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
        elif found > SCHEMA_VERSION:
            raise CommentwiseError(
                f"the log has version {found} and this program knows {SCHEMA_VERSION}: install the version of commentwise that created it"
            )
    if found and found < SCHEMA_VERSION:
        _upgrade(engine)


def _upgrade(engine: Engine) -> None:
    """Change tables of an earlier version: one step per version, all in one transaction with the number."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(0x636F6D6D)))
        else:
            connection.execute(text("BEGIN IMMEDIATE"))  # the driver begins none before it changes a table
        found = connection.scalar(select(func.max(schema_version.c.version)))  # another program may have been faster
        if found == 1:
            connection.execute(text("ALTER TABLE predictions ADD COLUMN language VARCHAR(35)"))
        connection.execute(schema_version.update().values(version=SCHEMA_VERSION))


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """A transaction on an existing log. Raises CommentwiseError when there is none or the database does not answer."""
    engine = connect(url)
    try:
        if not inspect(engine).has_table(predictions.name):
            raise CommentwiseError(f"there is no prediction log at {shown(url)}: serve with --prediction-log first")
        prepare(engine)
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise CommentwiseError(
            f"the log {shown(url)} does not answer ({reason(error)}): start it, or name another"
        ) from None
    finally:
        engine.dispose()


def insert_predictions(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows with the columns of `predictions`; rows whose id exists are ignored."""
    insert = DIALECTS[connection.dialect.name]
    connection.execute(insert(predictions).on_conflict_do_nothing(), list(rows))


@dataclass(frozen=True)
class Served:
    """The answers of one bundle in the log. Times are seconds since 1970."""

    answers: int
    first: float
    last: float


def served(connection: Connection) -> dict[str, Served]:
    """The answers in the log by the id of their bundle."""
    bundle, time = predictions.c.bundle_id, predictions.c.time
    rows = connection.execute(select(bundle, func.count(), func.min(time), func.max(time)).group_by(bundle))
    return {row[0]: Served(*row[1:]) for row in rows}


def insert_feedback(connection: Connection, given: Feedback) -> bool:
    """Store feedback once; return False if its id belongs to other feedback."""
    insert = DIALECTS[connection.dialect.name]
    connection.execute(insert(feedback).values(**asdict(given)).on_conflict_do_nothing())
    stored = connection.execute(select(feedback).where(feedback.c.id == given.id)).one()
    same = ("request_id", "position", "text_hash", "label", "rater")
    return all(getattr(stored, name) == getattr(given, name) for name in same)


def reason(error: Exception) -> str:
    """A database error as one line."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())[:200] or type(original).__name__
