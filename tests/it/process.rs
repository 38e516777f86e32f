//! The real binary, in an empty folder and with nothing in its environment but what a test puts there.

use std::process::Stdio;

use http::HeaderMap;
use logto_gateway::simulator::{Settings, Simulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

use crate::wire::{Wire, within};

/// Never to be seen in any output.
pub(crate) const SECRET: &str = "canary-of-the-secret";

/// A simulated Logto on a port of its own.
pub(crate) struct Logto {
    pub(crate) simulator: Simulator,
    pub(crate) port: u16,
    _serving: AbortOnDropHandle<()>,
}

impl Logto {
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { app_secret: SECRET.to_owned(), ..Settings::default() };
        change(&mut settings);
        let simulator = Simulator::new(settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let served = simulator.clone();
        let serving = tokio::spawn(async move { served.serve(listener).await });
        Self { simulator, port, _serving: AbortOnDropHandle::new(serving) }
    }

    /// The three settings that lead to it.
    pub(crate) fn env(&self) -> [(&'static str, String); 3] {
        env(&format!("http://127.0.0.1:{}", self.port))
    }

    /// The tokens that it has been shown.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let bearer = |headers: &HeaderMap| {
            let value = headers.get("authorization")?.to_str().ok()?;
            Some(value.strip_prefix("Bearer ")?.to_owned())
        };
        self.simulator.received().iter().filter_map(|r| bearer(&r.headers)).collect()
    }
}

pub(crate) fn env(endpoint: &str) -> [(&'static str, String); 3] {
    let id = Settings::default().app_id;
    [("LOGTO_ENDPOINT", endpoint.to_owned()), ("LOGTO_APP_ID", id), ("LOGTO_APP_SECRET", SECRET.to_owned())]
}

/// What a command left behind.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn command(env: &[(&str, String)], arguments: &[&str]) -> (Command, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_logto-gateway"));
    command.env_clear().envs(env.iter().map(|(name, value)| (name, value))).args(arguments);
    command.current_dir(folder.path()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, folder)
}

/// Runs a command to its end.
pub(crate) async fn run(env: &[(&str, String)], arguments: &[&str]) -> Ended {
    let (mut command, _folder) = command(env, arguments);
    let output = within(command.output()).await.expect("the binary is there");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ended = Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ended.out.contains(SECRET) && !ended.err.contains(SECRET), "the secret is shown");
    ended
}

/// A gateway that serves on free ports.
pub(crate) struct Process {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    /// What it has said so far.
    said: String,
    /// Its first line.
    pub(crate) start: Value,
    _folder: TempDir,
}

impl Process {
    pub(crate) async fn start(env: &[(&str, String)], arguments: &[&str]) -> Self {
        let free = ["--set", "listen.data=127.0.0.1:0", "--set", "listen.admin=127.0.0.1:0"];
        let (mut command, folder) = command(env, &[&free, arguments].concat());
        let mut child = command.spawn().expect("the binary is there");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = within(lines.next_line()).await.expect("UTF-8").expect("a start line");
        let start = serde_json::from_str(&first).unwrap_or_else(|_| panic!("no JSON: {first}"));
        Self { child, lines: Some(lines), said: first, start, _folder: folder }
    }

    pub(crate) fn port(&self, which: &str) -> u16 {
        let address = self.start[which].as_str().unwrap_or_else(|| panic!("{}", self.start));
        address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port")
    }

    pub(crate) async fn connect(&self) -> Wire<TcpStream> {
        Wire::new(TcpStream::connect(("127.0.0.1", self.port("listen"))).await.expect("it listens"))
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.expect("there is a kill");
        assert!(sent.success());
    }

    /// Closes our end of its standard output.
    pub(crate) fn hang_up(&mut self) {
        self.lines = None;
    }

    /// Waits for a line that contains `part`.
    pub(crate) async fn says(&mut self, part: &str) -> String {
        let lines = self.lines.as_mut().expect("its output is read");
        loop {
            let line = within(lines.next_line()).await.expect("UTF-8");
            let line = line.unwrap_or_else(|| panic!("it never said {part:?}, but:\n{}", self.said));
            self.said.push('\n');
            self.said.push_str(&line);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for its end without reading what it says.
    pub(crate) async fn code(&mut self) -> Option<i32> {
        within(self.child.wait()).await.expect("a child").code()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        while let Some(lines) = &mut self.lines
            && let Some(line) = within(lines.next_line()).await.expect("UTF-8")
        {
            self.said.push('\n');
            self.said.push_str(&line);
        }
        let mut err = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        within(stderr.read_to_string(&mut err)).await.expect("UTF-8");
        let code = within(self.child.wait()).await.expect("a child").code();
        assert!(!self.said.contains(SECRET) && !err.contains(SECRET), "the secret is shown");
        Ended { code, out: self.said, err }
    }
}
