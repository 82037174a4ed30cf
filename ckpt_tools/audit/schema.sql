-- The tables of an audit, version 1. Times are UTC in ISO 8601, digests are BLAKE3, sizes bytes.
-- A text that may hold a secret is masked before it is stored.

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    finished TEXT,                       -- NULL: interrupted
    tool TEXT NOT NULL,                  -- the release of ckpt-tools
    rules TEXT NOT NULL,                 -- digest of the rules: another one judges again
    sources TEXT NOT NULL,               -- JSON: as given
    options TEXT NOT NULL,               -- JSON: --values and so on
    requests INTEGER NOT NULL DEFAULT 0, -- to the Hub
    weights INTEGER,                     -- bytes of weight files, NULL until it is finished
    copied INTEGER                       -- bytes that keeping every payload once would free
) STRICT;

CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY,
    location TEXT NOT NULL UNIQUE,       -- what `ckpt verify` takes, without a revision
    source TEXT NOT NULL,                -- under which it was found
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    revision TEXT NOT NULL,              -- the commit on the Hub
    identity BLOB NOT NULL,              -- changes when its files do
    status TEXT NOT NULL,                -- checked, failed, vanished
    reason TEXT NOT NULL,                -- why it failed
    kind TEXT NOT NULL,
    family TEXT NOT NULL,
    errors INTEGER NOT NULL,
    warnings INTEGER NOT NULL,
    notes INTEGER NOT NULL,
    tensors INTEGER NOT NULL,
    parameters INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    dtypes TEXT NOT NULL,                -- JSON: {"BF16": tensors}
    structure BLOB,                      -- digest of names, dtypes and shapes
    payload BLOB,                        -- content digest of the tensors, NULL: not known
    base_model TEXT NOT NULL,            -- names as declared, a line each
    modified TEXT NOT NULL,              -- of the newest file, or of the commit
    with_values INTEGER NOT NULL,        -- whether tensor values were read
    rules TEXT NOT NULL,                 -- the rules that judged it
    first_seen INTEGER NOT NULL REFERENCES runs,
    last_seen INTEGER NOT NULL REFERENCES runs,
    judged INTEGER NOT NULL REFERENCES runs
) STRICT;
-- Totals by status, family and owner are read from this index alone.
CREATE INDEX checkpoints_by_status
    ON checkpoints (status, family, owner, errors, warnings, notes, with_values, bytes);

CREATE TABLE files (
    checkpoint INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    etag TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    xet TEXT NOT NULL,
    inode TEXT NOT NULL,                 -- device:inode of a local file: the same bytes on the disk
    weights INTEGER NOT NULL,            -- 1: it holds tensors of the model
    PRIMARY KEY (checkpoint, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE findings (
    id INTEGER PRIMARY KEY,
    checkpoint INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    code TEXT NOT NULL,
    severity TEXT NOT NULL,
    path TEXT NOT NULL,
    subject TEXT NOT NULL,
    what TEXT NOT NULL,
    next TEXT NOT NULL                   -- what to do, as a sentence or a command
) STRICT;
CREATE INDEX findings_by_checkpoint ON findings (checkpoint);
CREATE INDEX findings_by_code ON findings (code, severity, checkpoint);

CREATE TABLE coverage (
    checkpoint INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    question TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (checkpoint, question)
) STRICT, WITHOUT ROWID;
CREATE INDEX coverage_by_state ON coverage (question, state);

CREATE TABLE tensors (
    checkpoint INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    digest BLOB NOT NULL,                -- 16 bytes, of dtype, shape and payload
    bytes INTEGER NOT NULL,
    number INTEGER NOT NULL,             -- how many tensors of the checkpoint have it
    PRIMARY KEY (checkpoint, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE parts (
    checkpoint INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    title TEXT NOT NULL,                 -- of a component of its family
    tensors INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    digest BLOB NOT NULL,                -- content digest of these tensors alone
    PRIMARY KEY (checkpoint, title)
) STRICT, WITHOUT ROWID;

CREATE TABLE relations (
    of INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    "to" INTEGER REFERENCES checkpoints ON DELETE CASCADE,
    name TEXT NOT NULL,                  -- of a base that is not in this file
    kind TEXT NOT NULL,
    share REAL NOT NULL,                 -- of the bytes of `of`
    bytes INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX relations_by_of ON relations (of);
CREATE INDEX relations_by_to ON relations ("to");

-- Counted over all rows by the last run that finished, see totals.py. A report reads these.
CREATE TABLE totals (
    run INTEGER NOT NULL REFERENCES runs,
    what TEXT NOT NULL,                  -- findings, coverage, relations
    one TEXT NOT NULL,                   -- a code, a question, a kind
    two TEXT NOT NULL,                   -- a severity, a state
    number INTEGER NOT NULL,             -- of rows
    amount INTEGER NOT NULL              -- of checkpoints, or of bytes
) STRICT;

CREATE TABLE evidence (
    checkpoint INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    path TEXT NOT NULL,                  -- of a header or document, or the name of a fact
    digest BLOB NOT NULL REFERENCES contents,
    PRIMARY KEY (checkpoint, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE contents (
    digest BLOB PRIMARY KEY,
    content BLOB NOT NULL                -- compressed with zlib
) STRICT, WITHOUT ROWID;
