//! The model of a server: strings with expiry, the scripts of the client, and sessions of both
//! protocols.
//!
//! It is plain on purpose. `tests/model.rs` compares its replies to random commands with those of
//! real servers. It knows no time but the milliseconds that it is given, and no connection but the
//! [`Session`] that each has.

use std::collections::BTreeMap;

use async_caches_conformance::request::Request;
use async_caches_conformance::server_reply::ServerReply;
use async_caches_core::number::Number;
use async_caches_core::script;
use bytes::Bytes;

/// A server.
#[derive(Clone, Debug, Default)]
pub struct Model {
    databases: BTreeMap<i64, Database>,
    /// The password that every client must give.
    pub password: Option<String>,
    /// Its reaction to `HELLO`.
    pub hello: Hello,
    /// Whether it refuses to name connections by `CLIENT`.
    pub refuses_names: bool,
    /// The commands that it accepts.
    pub mood: Mood,
    /// How many keys a step of a scan finds at most, whatever the command asks for.
    pub scan_step: Option<usize>,
    scripts: Vec<&'static str>,
    cursors: Vec<Bytes>,
    sessions: i64,
}

/// The reaction of a server to `HELLO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hello {
    /// The server answers.
    #[default]
    Known,
    /// The server does not know it, and replies like servers before version 6.
    Unknown,
    /// The server refuses it in words of its own, as proxies do.
    Refused,
    /// The server hangs up, on `CLIENT` as well.
    HangsUp,
}

/// The commands that a server accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mood {
    /// All commands.
    #[default]
    Well,
    /// Only greetings: the server reads its data from disk.
    Loading,
    /// No writes: the server's memory is full.
    Full,
}

/// The state of one connection on the server.
#[derive(Clone, Debug)]
pub struct Session {
    /// The protocol spoken: 2 or 3.
    pub protocol: u8,
    database: i64,
    authenticated: bool,
    id: i64,
}

type Database = BTreeMap<Bytes, Entry>;

/// All data of a server.
#[derive(Clone, Debug)]
pub(crate) struct Data(BTreeMap<i64, Database>);

/// The entry of a key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    value: Bytes,
    /// The last millisecond in which it exists.
    until: Option<i64>,
}

impl Session {
    /// The server forgets that the client has authenticated.
    pub(crate) fn forget(&mut self) {
        self.authenticated = false;
    }

    /// Whether the client has authenticated.
    pub(crate) fn is_known(&self) -> bool {
        self.authenticated
    }
}

impl Model {
    /// Opens a session for a connection.
    pub fn session(&mut self) -> Session {
        self.sessions += 1;
        let authenticated = self.password.is_none();
        Session { protocol: 2, database: 0, authenticated, id: self.sessions }
    }

    /// Loses all data.
    pub fn wipe(&mut self) {
        self.databases.clear();
    }

    /// All its data.
    pub(crate) fn data(&self) -> Data {
        Data(self.databases.clone())
    }

    /// Replaces all its data.
    pub(crate) fn replace(&mut self, data: Data) {
        self.databases = data.0;
    }

    /// The keys of the first database.
    pub(crate) fn keys(&self) -> Vec<Bytes> {
        self.databases.get(&0).into_iter().flat_map(|it| it.keys().cloned()).collect()
    }

    /// Whether the first database has a key at this time.
    pub(crate) fn holds(&mut self, key: &[u8], now: i64) -> bool {
        self.databases.get_mut(&0).is_some_and(|database| find(database, key, now).is_some())
    }

    /// Takes a key out of the first database.
    pub(crate) fn take(&mut self, key: &[u8]) -> Option<Entry> {
        self.databases.get_mut(&0)?.remove(key)
    }

    /// Puts an entry that was taken from another server into the first database.
    pub(crate) fn put(&mut self, key: Bytes, entry: Entry) {
        self.databases.entry(0).or_default().insert(key, entry);
    }

    /// Loses its scripts, as a restart does even if the data is kept.
    pub fn forget_scripts(&mut self) {
        self.scripts.clear();
    }

    /// Stores a value, as any other client of the server may.
    pub fn plant(&mut self, database: i64, key: Bytes, value: Bytes) {
        self.databases.entry(database).or_default().insert(key, Entry { value, until: None });
    }

    /// Whether it closes the connection instead of answering this command.
    #[must_use]
    pub fn hangs_up(&self, asked: &Request) -> bool {
        self.hello == Hello::HangsUp && (asked.is(0, "HELLO") || asked.is(0, "CLIENT"))
    }

    /// Runs a command at this time.
    pub fn run(&mut self, session: &mut Session, asked: &Request, now: i64) -> ServerReply {
        let Some(name) = Name::of(asked) else { return unknown(asked) };
        match self.hello {
            Hello::Unknown | Hello::HangsUp if name == Name::Hello => return unknown(asked),
            Hello::Refused if name == Name::Hello => {
                return ServerReply::error("ERR unsupported command `hello`");
            }
            Hello::Known | Hello::Unknown | Hello::Refused | Hello::HangsUp => {}
        }
        if !name.takes(asked.len()) {
            let name = String::from_utf8_lossy(asked.word(0)).to_lowercase();
            return ServerReply::error(format!(
                "ERR wrong number of arguments for '{name}' command"
            ));
        }
        match name {
            Name::Hello => return self.hello(session, asked),
            Name::Auth => return self.auth(session, asked),
            _ if !session.authenticated => return ServerReply::error(NOAUTH),
            Name::Client if self.refuses_names => return unknown(asked),
            Name::Client => return client(asked, self.hello != Hello::Known),
            Name::Select => return select(session, asked),
            _ if self.mood == Mood::Loading => return ServerReply::error(LOADING),
            Name::Set if self.mood == Mood::Full => return ServerReply::error(OOM),
            _ => {}
        }
        let database = self.databases.entry(session.database).or_default();
        match name {
            Name::Ping if asked.len() == 1 => ServerReply::Status("PONG"),
            Name::Ping => ServerReply::Bulk(asked.share(1)),
            Name::Get => bulk(find(database, asked.word(1), now)),
            Name::MGet => {
                let keys = 1..asked.len();
                ServerReply::List(
                    keys.map(|at| bulk(find(database, asked.word(at), now))).collect(),
                )
            }
            Name::Set => set(database, asked, now),
            Name::Unlink => count(asked, |key| remove(database, key, now)),
            Name::Exists => count(asked, |key| find(database, key, now).is_some()),
            Name::Pttl => ServerReply::Integer(match find(database, asked.word(1), now) {
                None => -2,
                Some(Entry { until: None, .. }) => -1,
                Some(Entry { until: Some(until), .. }) => *until - now,
            }),
            Name::PExpire => pexpire(database, asked, now),
            Name::FlushDb => {
                database.clear();
                ServerReply::OK
            }
            Name::Scan => scan(database, &mut self.cursors, self.scan_step, asked, now),
            Name::Script => {
                self.scripts.clear();
                ServerReply::OK
            }
            Name::Eval | Name::EvalSha => {
                let known = [script::PERSIST, script::INCR, script::DELETE_IF].into_iter();
                let body = asked.word(1);
                let mut known = known.filter(|script| match name {
                    Name::Eval => script.source.as_bytes() == body,
                    _ => script.digest.as_bytes().eq_ignore_ascii_case(body),
                });
                let script = match known.next() {
                    Some(script) if name == Name::Eval => {
                        self.scripts.push(script.digest);
                        script
                    }
                    Some(script) if self.scripts.contains(&script.digest) => script,
                    Some(_) | None => return ServerReply::error(NOSCRIPT),
                };
                match script.digest {
                    digest if digest == script::PERSIST.digest => {
                        persist(database, asked.word(3), now)
                    }
                    digest if digest == script::DELETE_IF.digest => {
                        delete_if(database, asked.word(3), asked.word(4), now)
                    }
                    _ if self.mood == Mood::Full => ServerReply::error(OOM),
                    _ => incr(database, asked, now),
                }
            }
            Name::Hello | Name::Auth | Name::Client | Name::Select => ServerReply::OK,
        }
    }

    fn hello(&self, session: &mut Session, asked: &Request) -> ServerReply {
        let protocol = match asked.integer(1) {
            Some(2) => 2,
            Some(3) => 3,
            None if asked.len() == 1 => session.protocol,
            Some(_) => return ServerReply::error("NOPROTO unsupported protocol version"),
            None => {
                return ServerReply::error(
                    "ERR Protocol version is not an integer or out of range",
                );
            }
        };
        let mut at = 2;
        while at < asked.len() {
            if asked.is(at, "AUTH") && at + 2 < asked.len() {
                if !self.knows(asked.word(at + 1), asked.word(at + 2)) {
                    return ServerReply::error(WRONGPASS);
                }
                session.authenticated = true;
                at += 3;
            } else if asked.is(at, "SETNAME") && at + 1 < asked.len() {
                at += 2;
            } else {
                let option = asked.word(at).escape_ascii();
                return ServerReply::error(format!("ERR Syntax error in HELLO option '{option}'"));
            }
        }
        if !session.authenticated {
            return ServerReply::error(NOAUTH_HELLO);
        }
        session.protocol = protocol;
        let pairs = [
            ("server", ServerReply::text("redis")),
            ("version", ServerReply::text("7.0.15")),
            ("proto", ServerReply::Integer(protocol.into())),
            ("id", ServerReply::Integer(session.id)),
            ("mode", ServerReply::text("standalone")),
            ("role", ServerReply::text("master")),
            ("modules", ServerReply::List(Vec::new())),
        ];
        ServerReply::Map(pairs.map(|(name, value)| (ServerReply::text(name), value)).into())
    }

    fn auth(&self, session: &mut Session, asked: &Request) -> ServerReply {
        if self.password.is_none() && asked.len() == 2 {
            return ServerReply::error(NO_PASSWORD_SET);
        }
        let (user, password) = match asked.len() {
            2 => (&b"default"[..], asked.word(1)),
            _ => (asked.word(1), asked.word(2)),
        };
        if !self.knows(user, password) {
            return ServerReply::error(WRONGPASS);
        }
        session.authenticated = true;
        ServerReply::OK
    }

    fn knows(&self, user: &[u8], password: &[u8]) -> bool {
        user == b"default" && self.password.as_ref().is_none_or(|it| it.as_bytes() == password)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    Auth,
    Client,
    Eval,
    EvalSha,
    Exists,
    FlushDb,
    Get,
    Hello,
    MGet,
    PExpire,
    Ping,
    Pttl,
    Scan,
    Script,
    Select,
    Set,
    Unlink,
}

impl Name {
    fn of(asked: &Request) -> Option<Self> {
        NAMES.iter().find(|(word, ..)| asked.is(0, word)).map(|(_, name, ..)| *name)
    }

    fn takes(self, words: usize) -> bool {
        NAMES
            .iter()
            .any(|(_, name, least, most)| *name == self && (*least..=*most).contains(&words))
    }
}

/// The commands in the order of their frequency, with the least and the greatest number of words.
const NAMES: [(&str, Name, usize, usize); 17] = [
    ("GET", Name::Get, 2, 2),
    ("SET", Name::Set, 3, usize::MAX),
    ("EVALSHA", Name::EvalSha, 3, usize::MAX),
    ("EVAL", Name::Eval, 3, usize::MAX),
    ("MGET", Name::MGet, 2, usize::MAX),
    ("UNLINK", Name::Unlink, 2, usize::MAX),
    ("EXISTS", Name::Exists, 2, usize::MAX),
    ("PTTL", Name::Pttl, 2, 2),
    ("PEXPIRE", Name::PExpire, 3, usize::MAX),
    ("PING", Name::Ping, 1, 2),
    ("SCAN", Name::Scan, 2, usize::MAX),
    ("FLUSHDB", Name::FlushDb, 1, 2),
    ("CLIENT", Name::Client, 2, usize::MAX),
    ("HELLO", Name::Hello, 1, usize::MAX),
    ("SELECT", Name::Select, 2, 2),
    ("AUTH", Name::Auth, 2, 3),
    ("SCRIPT", Name::Script, 2, 2),
];

fn find<'a>(database: &'a mut Database, key: &[u8], now: i64) -> Option<&'a mut Entry> {
    let gone = |entry: &Entry| entry.until.is_some_and(|until| now > until);
    if database.get(key).is_some_and(gone) {
        database.remove(key);
    }
    database.get_mut(key)
}

fn remove(database: &mut Database, key: &[u8], now: i64) -> bool {
    find(database, key, now).is_some() && database.remove(key).is_some()
}

fn bulk(entry: Option<&mut Entry>) -> ServerReply {
    entry.map_or(ServerReply::Null, |entry| ServerReply::Bulk(entry.value.clone()))
}

fn count(asked: &Request, mut holds: impl FnMut(&[u8]) -> bool) -> ServerReply {
    let found = (1..asked.len()).filter(|&at| holds(asked.word(at))).count();
    ServerReply::Integer(i64::try_from(found).unwrap_or(i64::MAX))
}

fn set(database: &mut Database, asked: &Request, now: i64) -> ServerReply {
    let (mut until, mut only_new) = (None, false);
    let mut at = 3;
    while at < asked.len() {
        if asked.is(at, "NX") {
            only_new = true;
            at += 1;
        } else if asked.is(at, "PX") && until.is_none() && at + 1 < asked.len() {
            let Some(millis) = asked.integer(at + 1) else {
                return ServerReply::error(NOT_AN_INTEGER);
            };
            let sum = now.checked_add(millis).filter(|_| millis > 0);
            let Some(sum) = sum else {
                return ServerReply::error("ERR invalid expire time in 'set' command");
            };
            until = Some(sum);
            at += 2;
        } else {
            return ServerReply::error("ERR syntax error");
        }
    }
    if only_new && find(database, asked.word(1), now).is_some() {
        return ServerReply::Null;
    }
    database.insert(asked.share(1), Entry { value: asked.share(2), until });
    ServerReply::OK
}

fn pexpire(database: &mut Database, asked: &Request, now: i64) -> ServerReply {
    if asked.len() > 3 {
        let option = asked.word(3).escape_ascii();
        return ServerReply::error(format!("ERR Unsupported option {option}"));
    }
    let Some(millis) = asked.integer(2) else { return ServerReply::error(NOT_AN_INTEGER) };
    let Some(until) = now.checked_add(millis) else {
        return ServerReply::error("ERR invalid expire time in 'pexpire' command");
    };
    let Some(entry) = find(database, asked.word(1), now) else { return ServerReply::Integer(0) };
    entry.until = Some(until);
    if millis <= 0 {
        database.remove(asked.word(1));
    }
    ServerReply::Integer(1)
}

fn persist(database: &mut Database, key: &[u8], now: i64) -> ServerReply {
    let Some(entry) = find(database, key, now) else { return ServerReply::Integer(0) };
    entry.until = None;
    ServerReply::Integer(1)
}

fn delete_if(database: &mut Database, key: &[u8], value: &[u8], now: i64) -> ServerReply {
    let equals = find(database, key, now).is_some_and(|entry| entry.value == value);
    ServerReply::Integer((equals && remove(database, key, now)).into())
}

fn incr(database: &mut Database, asked: &Request, now: i64) -> ServerReply {
    let Some(entry) = find(database, asked.word(3), now) else {
        return begin(database, asked, now);
    };
    let text = std::str::from_utf8(asked.word(5)).unwrap_or_default();
    let delta = match asked.word(4) {
        b"i" => Number::Integer(text.parse().unwrap_or(i128::MAX)),
        _ => Number::Float(text.parse().unwrap_or(f64::NAN)),
    };
    match delta.add_to(&entry.value) {
        Ok((_, text)) => {
            entry.value = text.into();
            ServerReply::Bulk(entry.value.clone())
        }
        Err(error) => {
            let refusal = |status: &&str| script::refusal(status.as_bytes()) == Some(error);
            ServerReply::Status(STATUSES.into_iter().find(refusal).unwrap_or("OVERFLOW"))
        }
    }
}

/// Adds to an absent key.
fn begin(database: &mut Database, asked: &Request, now: i64) -> ServerReply {
    if asked.len() < 7 {
        return ServerReply::Status("ABSENT");
    }
    let first = asked.word(6);
    if first.first().is_some_and(u8::is_ascii_alphabetic) {
        let said = STATUSES.into_iter().find(|status| status.as_bytes() == first);
        return ServerReply::Status(said.unwrap_or("OVERFLOW"));
    }
    let until = (asked.len() > 7).then(|| asked.integer(7).unwrap_or(0) + now);
    database.insert(asked.share(3), Entry { value: asked.share(6), until });
    ServerReply::Bulk(asked.share(6))
}

/// A step finds the keys after the one that its cursor stands for, in order.
fn scan(
    database: &mut Database,
    cursors: &mut Vec<Bytes>,
    step: Option<usize>,
    asked: &Request,
    now: i64,
) -> ServerReply {
    let Some(cursor) = asked.integer(1).and_then(|cursor| usize::try_from(cursor).ok()) else {
        return ServerReply::error("ERR invalid cursor");
    };
    let pattern = if asked.is(2, "MATCH") { asked.word(3) } else { b"*" };
    let stem = literal(pattern.strip_suffix(b"*").unwrap_or(pattern));
    database.retain(|_, entry| entry.until.is_none_or(|until| now <= until));
    let from = cursor.checked_sub(1).and_then(|at| cursors.get(at)).cloned().unwrap_or_default();
    let behind = database.keys().filter(|key| cursor == 0 || **key > from);
    let mut step: Vec<Bytes> = behind.take(step.unwrap_or(usize::MAX)).cloned().collect();
    let more = step.last().is_some_and(|last| database.keys().any(|key| key > last));
    let next = match step.last().filter(|_| more) {
        None => 0,
        Some(last) => {
            cursors.push(last.clone());
            cursors.len()
        }
    };
    step.retain(|key| key.starts_with(&stem));
    let keys = ServerReply::List(step.into_iter().map(ServerReply::Bulk).collect());
    ServerReply::List(vec![ServerReply::text(&next.to_string()), keys])
}

/// A pattern without the backslashes that make the next byte stand for itself.
fn literal(pattern: &[u8]) -> Vec<u8> {
    let mut escaped = false;
    let keep = |byte: &&u8| {
        escaped = **byte == b'\\' && !escaped;
        !escaped
    };
    pattern.iter().filter(keep).copied().collect()
}

fn client(asked: &Request, old: bool) -> ServerReply {
    if asked.is(1, "SETNAME") || (asked.is(1, "SETINFO") && !old) {
        return ServerReply::OK;
    }
    let name = asked.word(1).escape_ascii();
    ServerReply::error(format!("ERR unknown subcommand '{name}'. Try CLIENT HELP."))
}

fn select(session: &mut Session, asked: &Request) -> ServerReply {
    match asked.integer(1) {
        Some(database @ 0..4096) => {
            session.database = database;
            ServerReply::OK
        }
        Some(_) => ServerReply::error("ERR DB index is out of range"),
        None => ServerReply::error(NOT_AN_INTEGER),
    }
}

fn unknown(asked: &Request) -> ServerReply {
    let mut text = format!(
        "ERR unknown command '{}', with args beginning with: ",
        asked.word(0).escape_ascii()
    );
    for at in 1..asked.len() {
        text += &format!("'{}' ", asked.word(at).escape_ascii());
    }
    ServerReply::error(text)
}

const STATUSES: [&str; 4] = ["ABSENT", "NOTANUMBER", "NOTANINTEGER", "OVERFLOW"];
const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
const NOSCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";
const LOADING: &str = "LOADING Redis is loading the dataset in memory";
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NOAUTH: &str = "NOAUTH Authentication required.";
const NOAUTH_HELLO: &str = "NOAUTH HELLO must be called with the client already authenticated, \
                            otherwise the HELLO AUTH <user> <pass> option can be used to \
                            authenticate the client and select the RESP protocol version at the \
                            same time";
const NO_PASSWORD_SET: &str = "ERR AUTH <password> called without any password configured for the \
                               default user. Are you sure your configuration is correct?";
