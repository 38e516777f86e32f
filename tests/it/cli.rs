//! The commands of the real binary: what they print, and how they exit.

use http::StatusCode;
use tokio::net::TcpListener;

use crate::process::{Logto, Process, SECRET, env, run};
use crate::wire::get;

#[tokio::test]
async fn three_settings_are_enough_to_serve() {
    let logto = Logto::start(|_| {}).await;
    let process = Process::start(&logto.env(), &[]).await;
    let told = process.start["message"].as_str().expect("a message");
    assert!(told.starts_with(concat!("logto-gateway ", env!("CARGO_PKG_VERSION"))), "{told}");
    assert!(told.contains(&format!("http://127.0.0.1:{}", logto.port)) && told.contains("200"), "{told}");
    let mut client = process.connect().await;
    client.say(&get("/api/users?page_size=2")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.json().as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
    client.say(&get("/api/users?page_size=2")).await;
    assert!(client.answer().await.header("cache-status").contains("hit"));
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn everything_that_is_logged_is_json_and_holds_neither_secret_nor_token() {
    let logto = Logto::start(|_| {}).await;
    let process =
        Process::start(&logto.env(), &["--set", "log.requests=all", "--set", "log.level=trace"]).await;
    let mut client = process.connect().await;
    client.say(&get("/api/users?search=%25canary-of-a-search%25")).await;
    assert_eq!(client.answer().await.status, StatusCode::OK);
    logto.simulator.revoke_tokens();
    let write = r#"{"username":"someone","password":"canary-of-a-password"}"#;
    let request =
        crate::wire::post("/api/users", write).replace("Authorization: x", "Authorization: canary-of-a-key");
    client.say(&request).await;
    assert_eq!(client.answer().await.status, StatusCode::OK);
    logto.simulator.set_secret("another");
    logto.simulator.refuse_tokens(true);
    client.say(&get("/api/roles")).await;
    assert!(client.answer().await.status.is_server_error());
    process.signal("TERM").await;
    let ended = process.ended().await;
    let lines: Vec<serde_json::Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().filter(|line| line["message"] == "request").count() >= 3);
    let tokens = logto.tokens();
    assert!(!tokens.is_empty());
    let canaries = ["canary-of-a-search", "canary-of-a-password", "canary-of-a-key"];
    for hidden in tokens.iter().map(String::as_str).chain(canaries) {
        assert!(!ended.out.contains(hidden) && !ended.err.contains(hidden), "{hidden} is shown");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_start_and_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = other.local_addr().expect("bound").to_string();
    for key in ["listen.data", "listen.admin"] {
        let other_key = if key == "listen.data" { "listen.admin" } else { "listen.data" };
        let (taken, free) = (format!("{key}={address}"), format!("{other_key}=127.0.0.1:0"));
        let ended = run(&env("http://127.0.0.1:9"), &["--set", &taken, "--set", &free]).await;
        assert_eq!(ended.code, Some(1));
        assert!(ended.out.contains(&format!("cannot listen on {address}")), "{}", ended.out);
        assert!(ended.out.contains("another process listens there"), "{}", ended.out);
    }
}

#[tokio::test]
async fn without_settings_it_names_all_three_that_are_missing() {
    for arguments in [&["run"][..], &["check"], &[]] {
        let ended = run(&[], arguments).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(78), ""));
        for name in ["LOGTO_ENDPOINT", "LOGTO_APP_ID", "LOGTO_APP_SECRET", "has 3 mistakes"] {
            assert!(ended.err.contains(name), "{name}: {}", ended.err);
        }
    }
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once_with_its_origin_and_remedy() {
    let mut settings = env("http://127.0.0.1:9/path").to_vec();
    settings.push(("LOGTO_GATEWAY_LISTEN__HEADER_TIMEOUT", "soon".to_owned()));
    settings.push(("LOGTO_GATEWAY_CACHE__SIZE", "1MiB".to_owned()));
    let flags = ["--set", "budget.limit=many", "--set", "listen.data=0.0.0.0:1", "--set", "log.format=loud"];
    for command in ["run", "check"] {
        let ended = run(&settings, &[&flags[..], &[command]].concat()).await;
        assert_eq!(ended.code, Some(78));
        for part in [
            "has 6 mistakes",
            "✗ upstream.endpoint = \"http://127.0.0.1:9/path\"  (environment variable LOGTO_ENDPOINT)",
            "write \"http://127.0.0.1:9\"",
            "✗ listen.header_timeout = \"soon\"  (environment variable LOGTO_GATEWAY_LISTEN__HEADER_TIMEOUT)",
            "✗ budget.limit = \"many\"  (command line)",
            "✗ listen.data = \"0.0.0.0:1\"  (command line)",
            "✗ log.format = \"loud\"  (command line)",
            "✗ cache.size",
        ] {
            assert!(ended.err.contains(part), "{part}: {}", ended.err);
        }
    }
}

#[tokio::test]
async fn a_settings_file_that_is_named_must_be_there_and_make_sense() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    let file = path.to_str().expect("UTF-8");
    let missing = run(&env("http://127.0.0.1:9"), &["--config", file]).await;
    assert_eq!(missing.code, Some(78));
    assert!(missing.err.contains(file), "{}", missing.err);
    std::fs::write(&path, "[budget]\nlimit = 200\n[budgte\n").expect("a file");
    let garbled = run(&env("http://127.0.0.1:9"), &["--config", file]).await;
    assert_eq!(garbled.code, Some(78));
    assert!(garbled.err.contains(&format!("{file}:3:")), "{}", garbled.err);
}

#[tokio::test]
async fn bad_usage_is_told_on_standard_error() {
    for arguments in [
        &["bogus"][..],
        &["--bogus"],
        &["check", "extra"],
        &["--set", "no-equals-sign"],
        &["simulate", "--port", "x"],
        &["simulate", "--limiter", "window"],
    ] {
        let ended = run(&[], arguments).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""), "{arguments:?}");
        assert!(ended.err.contains("error:"), "{}", ended.err);
    }
    let secret = format!("credentials.app_secret={SECRET}");
    let shown = run_unchecked(&["--set", &secret]).await;
    assert!(shown.contains("a secret on the command line can be read by other users"), "{shown}");
}

/// What the shell shows anyway may be repeated.
async fn run_unchecked(arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_logto-gateway"));
    let output = command.env_clear().args(arguments).output().await.expect("the binary is there");
    assert_eq!(output.status.code(), Some(64));
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[tokio::test]
async fn help_fits_a_terminal_and_shows_an_example() {
    for arguments in [&["--help"][..], &["-h"], &["check", "--help"], &["simulate", "--help"]] {
        let ended = run(&[], arguments).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        assert!(ended.out.lines().count() <= 24, "{arguments:?}: {} lines", ended.out.lines().count());
        let widest = ended.out.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{arguments:?}: {widest:?} columns");
    }
    let help = run(&[], &["--help"]).await.out;
    assert!(help.contains("Example:") && help.contains("curl http://localhost:8480/api/users"), "{help}");
}

#[tokio::test]
async fn the_version_is_told() {
    let ended = run(&[], &["--version"]).await;
    let expected = concat!("logto-gateway ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), expected));
}
