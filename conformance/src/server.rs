//! Real servers for tests: started on a free port, stopped by process id, gone with the test.
//!
//! Each server runs under a shell that waits on a pipe from the test process. However the test
//! process ends, the pipe closes and the shell kills its server. So a server in a `static`, which
//! is never dropped, dies as surely as one that is dropped.

mod port;
mod setup;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use self::port::free_port;
use self::setup::CA;
pub use self::setup::{Asks, Setup, Tls, Watched};
use crate::frame::Frame;
use crate::raw::{OBSERVER, Raw};

/// The kind of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `redis-server`, from `REDIS_SERVER` or the `PATH`.
    Redis,
    /// `valkey-server`, from `VALKEY_SERVER`, the `PATH` or `target/servers`.
    Valkey,
}

impl Kind {
    /// The path of the server's program, if it is installed. A variable that names no file says
    /// that it is not.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        let (variable, name) = match self {
            Self::Redis => ("REDIS_SERVER", "redis-server"),
            Self::Valkey => ("VALKEY_SERVER", "valkey-server"),
        };
        if let Some(given) = env::var_os(variable) {
            return Some(given.into()).filter(|program: &PathBuf| program.is_file());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers");
        let mut places = env::split_paths(&path).chain([installed]);
        places.find_map(|place| Some(place.join(name)).filter(|program| program.is_file()))
    }

    /// Whether the server can be started. A missing Redis fails the test that starts it. A missing
    /// Valkey is reported once, past the capture of test output, and fails here under CI.
    ///
    /// # Panics
    /// When there is no Valkey and the environment variable `CI` is set.
    #[must_use]
    pub fn is_here(self) -> bool {
        static ONCE: Once = Once::new();
        if self == Self::Redis || self.program().is_some() {
            return true;
        }
        let remedy = self.remedy();
        assert!(env::var_os("CI").is_none(), "{remedy}");
        ONCE.call_once(|| {
            let _ = writeln!(io::stderr(), "the cases on Valkey are NOT RUN: {remedy}");
        });
        false
    }

    /// How to install the server, for the message that reports it missing.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Redis => {
                "no redis-server was found: run scripts/install-redis, \
                 or name the program in REDIS_SERVER"
            }
            Self::Valkey => {
                "no valkey-server was found: run scripts/install-valkey, \
                 or name the program in VALKEY_SERVER"
            }
        }
    }
}

/// A running server, on a loopback port and on a unix socket. Dropping it kills the server.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    setup: Setup,
    port: u16,
    folder: PathBuf,
    shell: Child,
    pid: Pid,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When such a server is not installed or does not start.
    #[must_use]
    pub fn start(kind: Kind, setup: &Setup) -> Self {
        let program = kind.program().unwrap_or_else(|| panic!("{}", kind.remedy()));
        // Another process may take the free port before the server does. Then try another.
        let mut output = String::new();
        for _ in 0..3 {
            let folder = tempfile::Builder::new().prefix("async-caches-").tempdir();
            let folder = folder.expect("a temporary folder").keep();
            let port = free_port();
            let (shell, pid) = launch(&program, port, &folder, setup);
            let setup = setup.clone();
            let mut server = Self { program: program.clone(), setup, port, folder, shell, pid };
            if server.answers() {
                return server;
            }
            output = fs::read_to_string(server.folder.join(LOG)).unwrap_or_default();
            server.kill();
        }
        panic!("{} did not start, three times: {output}", program.display());
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// How many databases a server has.
    pub const DATABASES: u32 = 4096;

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: u32) -> String {
        self.url_at(self.address(), database)
    }

    /// The URL of one of its databases at another address, such as a proxy's. With TLS it names the
    /// authority to trust.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr, database: u32) -> String {
        let userinfo = self.userinfo();
        match self.authority() {
            None => format!("redis://{userinfo}{address}/{database}"),
            Some(ca) => format!("rediss://{userinfo}{address}/{database}?tls_ca={}", ca.display()),
        }
    }

    /// The file of the authority that its clients trust, if it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> Option<PathBuf> {
        self.setup.tls.as_ref().map(|_| self.file(CA))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The URL of one of its databases over its unix socket.
    #[must_use]
    pub fn unix_url(&self, database: u32) -> String {
        let path = self.folder.join(SOCKET);
        format!("redis+unix://{}{}?db={database}", self.userinfo(), path.display())
    }

    /// A raw connection to one of its databases.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn raw(&self, database: u32) -> Raw {
        let mut raw = self.greeted().expect("the server answers");
        raw.call(&["SELECT", &database.to_string()]);
        raw.call(&["CLIENT", "SETNAME", OBSERVER]);
        raw
    }

    /// The URL of the server at `addresses`; with TLS it names the authority to trust. `scheme`
    /// follows `redis`, or `rediss` with TLS.
    pub(crate) fn reached_by(&self, scheme: &str, addresses: &str) -> String {
        let userinfo = self.userinfo();
        match &self.setup.tls {
            None => format!("redis{scheme}://{userinfo}{addresses}"),
            Some(_) => {
                let ca = self.file(CA);
                format!("rediss{scheme}://{userinfo}{addresses}?tls_ca={}", ca.display())
            }
        }
    }

    /// A raw connection to a sentinel, which has no databases.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn raw_sentinel(&self) -> Raw {
        self.greeted().expect("the sentinel answers")
    }

    /// The port of the node's cluster bus, as the server writes it.
    pub(crate) fn bus_port(&self) -> String {
        let Frame::List(told) = self.raw(0).call(&["CONFIG", "GET", "cluster-port"]) else {
            unreachable!("it is a list")
        };
        told[1].text()
    }

    /// The server's folder, which is removed with it.
    #[cfg(test)]
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Stops the server's process (SIGSTOP): its connections stay open and it answers nothing.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a stopped server continue (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the server; its data is lost.
    pub fn kill(&mut self) {
        // The shell kills the server by its id as soon as the pipe is closed, and then ends.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    /// Kills the server and starts another, empty, at the same address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.revive();
    }

    /// Starts a server, empty, at the address of the one that was killed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn revive(&mut self) {
        fs::create_dir_all(&self.folder).expect("a temporary folder");
        (self.shell, self.pid) = launch(&self.program, self.port, &self.folder, &self.setup);
        assert!(self.answers(), "{} did not start again", self.program.display());
    }

    fn answers(&self) -> bool {
        let pid = format!("process_id:{}", self.pid.as_raw_nonzero());
        let until = Instant::now() + START_UP;
        while Instant::now() < until {
            if let Ok(mut raw) = self.greeted()
                && let Ok(info) = raw.ask(&["INFO", "server"])
            {
                return info.text().lines().any(|line| line == pid);
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    pub(crate) fn greeted(&self) -> io::Result<Raw> {
        let mut raw = match &self.setup.tls {
            None => Raw::connect(self.address())?,
            Some(_) => Raw::connect_unix(&self.file(SOCKET))?,
        };
        if let Some(password) = &self.setup.password {
            raw.ask(&["AUTH", password])?;
        }
        Ok(raw)
    }

    pub(crate) fn userinfo(&self) -> String {
        match &self.setup.password {
            None => String::new(),
            Some(password) => format!(":{}@", percent_encoded(password)),
        }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid, signal).expect("the server runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Percent-encodes everything in a text but letters and digits.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => encoded.push(byte.into()),
            false => write!(encoded, "%{byte:02X}").expect("a string takes all"),
        }
    }
    encoded
}

fn launch(program: &Path, port: u16, folder: &Path, setup: &Setup) -> (Child, Pid) {
    let mut shell = Command::new("sh");
    shell.args(["-c", WATCH, "sh"]).arg(folder).arg(program);
    setup.begin(&mut shell, folder);
    shell.args(["--bind", "127.0.0.1"]);
    shell.args(["--databases", &Server::DATABASES.to_string()]);
    shell.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    shell.arg("--dir").arg(folder).arg("--unixsocket").arg(folder.join(SOCKET));
    setup.finish(&mut shell, port, folder);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut shell = shell.spawn().expect("sh starts");
    let mut line = String::new();
    let output = shell.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("sh tells the process id");
    let pid = line.trim().parse().ok().and_then(Pid::from_raw);
    (shell, pid.expect("sh tells the process id"))
}

/// Runs a server in the background, prints its process id, and kills it once standard input ends.
const WATCH: &str = r#"
    folder=$1; shift
    "$@" >"$folder/server.log" 2>&1 &
    pid=$!
    echo $pid
    read -r _
    kill -9 $pid
    wait $pid
    rm -f "$folder"/server.* "$folder/nodes.conf" "$folder"/*.pem "$folder"/*.rdb
    rmdir "$folder"
"#;

const LOG: &str = "server.log";
const SOCKET: &str = "server.sock";
const START_UP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;

    #[test]
    fn a_server_starts_stops_and_leaves_nothing_behind() {
        let mut server = Server::start(Kind::Redis, &Setup::default());
        server.raw(4095).call(&["SET", "a", "1"]);
        server.restart();
        assert_eq!(server.raw(4095).number(&["DBSIZE"]), 0);
        let (address, folder, pid) = (server.address(), server.folder.clone(), server.pid);
        drop(server);
        assert!(Raw::connect(address).is_err());
        assert!(!folder.exists());
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn a_password_is_percent_encoded_and_required() {
        let server = Server::start(Kind::Redis, &Setup::default().password("p@ s:/\"?#"));
        assert!(server.url(3).starts_with("redis://:p%40%20s%3A%2F%22%3F%23@127.0.0.1:"));
        let mut raw = Raw::connect(server.address()).unwrap();
        assert!(raw.ask(&["PING"]).unwrap().text().starts_with("NOAUTH"));
    }

    #[test]
    fn a_tls_server_accepts_no_plain_text() {
        let authority = Authority::new();
        let mut server = Server::start(Kind::Redis, &Setup::default().tls(Tls::of(&authority)));
        let url = server.url(3);
        assert!(url.starts_with("rediss://127.0.0.1:") && url.contains("/3?tls_ca=/"), "{url}");
        assert_eq!(fs::read_to_string(server.authority().unwrap()).unwrap(), authority.pem());
        assert_eq!(server.raw(0).text(&["PING"]), "PONG");
        let plain = Raw::connect(server.address()).unwrap().ask(&["PING"]);
        assert!(plain.is_err(), "{plain:?}");
        server.restart();
        assert!(server.authority().unwrap().is_file());
        let folder = server.folder.clone();
        drop(server);
        assert!(!folder.exists());
    }

    #[test]
    fn a_stopped_server_sends_nothing_until_it_is_resumed() {
        let server = Server::start(Kind::Redis, &Setup::default());
        let mut raw = server.raw(0);
        server.stop();
        let asked = thread::spawn(move || raw.text(&["PING"]));
        thread::sleep(Duration::from_millis(50));
        assert!(!asked.is_finished());
        server.resume();
        assert_eq!(asked.join().unwrap(), "PONG");
    }
}
