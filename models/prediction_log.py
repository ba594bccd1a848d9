"""The prediction log: what the server answered, and what people said about it. SQLite or PostgreSQL, through SQLAlchemy.

Nobody's text is in it unless the operator wants that, or somebody sent it as feedback. Times are seconds since 1970.
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
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from commentwise.comments.traits import Traits
from commentwise.errors import CommentwiseError

SCHEMA_VERSION = 1
DIALECTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""How each inserts, with its own way to leave alone what is there."""
CONNECT_SECONDS = 5
COLUMN_TYPES: dict[Any, type[Integer] | type[Double[float]]] = {int: Integer, float: Double}
"""Of the columns that describe a comment without its text, one per field of `commentwise.comments.traits.Traits`."""

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
    """What somebody says a comment's label is: of the prediction `request_id`, `position`, or of `text`."""

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
    """The owner of the API key; empty where the server has none."""


def check_url(url: str) -> None:
    """Raise CommentwiseError unless this is the URL of a database that can be used here."""
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
    """A database's URL for messages, without its password."""
    return make_url(url).render_as_string(hide_password=True)


def connect(url: str) -> Engine:
    """An engine for the log, whose tables `prepare` makes. Raises CommentwiseError when the URL is unfit."""
    check_url(url)
    if make_url(url).get_backend_name() == "postgresql":
        # The server's own time-outs, so that a connection that hangs is an error within seconds.
        options = {"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={60_000}"}
        return create_engine(url, pool_pre_ping=True, pool_size=2, connect_args=options)
    engine = create_engine(url, connect_args={"timeout": CONNECT_SECONDS})

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def prepare(engine: Engine) -> None:
    """Make the tables, or bring them to the present version. Raises CommentwiseError when they are of a later one.

    A later version's changes belong here, one step per version, each in the same transaction as its number.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # two servers may start at once
            connection.execute(select(func.pg_advisory_xact_lock(0x636F6D6D)))
        metadata.create_all(connection)
        found = connection.scalar(select(func.max(schema_version.c.version)))
        if found is None:
            connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
        elif found > SCHEMA_VERSION:
            raise CommentwiseError(
                f"the log has version {found} and this program knows {SCHEMA_VERSION}: install the version of commentwise that made it"
            )


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """A transaction on a log that exists. Raises CommentwiseError when there is none or it does not answer."""
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
    """Add rows with the columns of `predictions`; those that are there already (by id) stay as they are."""
    insert = DIALECTS[connection.dialect.name]
    connection.execute(insert(predictions).on_conflict_do_nothing(), list(rows))


def insert_feedback(connection: Connection, given: Feedback) -> bool:
    """Store feedback once; False where its id stands for something else already."""
    insert = DIALECTS[connection.dialect.name]
    connection.execute(insert(feedback).values(**asdict(given)).on_conflict_do_nothing())
    stored = connection.execute(select(feedback).where(feedback.c.id == given.id)).one()
    same = ("request_id", "position", "text_hash", "label", "rater")
    return all(getattr(stored, name) == getattr(given, name) for name in same)


def reason(error: Exception) -> str:
    """A database error in one line."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())[:200] or type(original).__name__
