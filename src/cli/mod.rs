//! The commands: what each one is for, what it prints, and how it exits.

mod check;
mod demo;
mod log;
mod run;
mod simulate;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, Loaded, Sources};

/// Exit codes: after sysexits.h where it has a word for it.
const FAULT: u8 = 1;
const USAGE: u8 = 64;
const CONFIG: u8 = 78;

const EXAMPLE: &str = "\
Example:
  export LOGTO_ENDPOINT=https://your-tenant.logto.app LOGTO_APP_ID=… LOGTO_APP_SECRET=…
  logto-gateway check && logto-gateway
  curl http://localhost:8480/api/users";

/// A local gateway to the Logto Management API: cached tokens, a shared budget, cached answers.
#[derive(Parser)]
#[command(version, after_help = EXAMPLE, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default)
    Run,
    /// Tell what is right and what is wrong, and how to mend it
    Check(check::Options),
    /// Show it with a simulated Logto: no account needed
    Demo,
    /// Be a Logto to test against
    Simulate(simulate::Options),
}

/// Settings from the command line; they outrank the environment and the file. Never secrets: other users can see them.
#[derive(Args)]
struct Settings {
    /// Settings file [default: config/gateway.toml, if present]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Set one key, e.g. --set budget.limit=400 (repeatable)
    #[arg(long, value_name = "KEY=VALUE", global = true, value_parser = key_value)]
    set: Vec<(String, String)>,
    /// auto, human or json
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("credentials.app_secret", _)) => {
            Err("a secret on the command line can be read by other users; use LOGTO_APP_SECRET or a file"
                .to_owned())
        }
        Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
        None => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = Arguments::command().try_get_matches_from(arguments);
    let parsed = matches.and_then(|m| Arguments::from_arg_matches(&m));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(told) => {
            // Nobody is left to tell if the terminal is gone.
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { USAGE } else { 0 });
        }
    };
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => with_config(arguments.settings, run::run),
        Command::Check(options) => check::check(arguments.settings, &options),
        Command::Demo => demo::demo(),
        Command::Simulate(options) => simulate::simulate(&options),
    }
}

fn with_config(settings: Settings, command: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match Config::load(sources(settings)) {
        Ok(loaded) => command(loaded),
        Err(problems) => {
            complain(&problems.to_string());
            ExitCode::from(CONFIG)
        }
    }
}

fn sources(settings: Settings) -> Sources {
    let format = settings.log_format.map(|format| ("log.format".to_owned(), format));
    Sources::from_process(settings.config, settings.set.into_iter().chain(format).collect())
}

/// A line for whoever runs the command; if nobody reads it, it is lost.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The runtime that serves: one thread unless more are asked for, since Logto's limit is reached with a part of one.
fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    crate::connect::install_crypto();
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build()
}

/// Runs on a new runtime, or says why there is none.
fn block_on(threads: usize, work: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime(threads) {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // What still runs has had its time.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain(&format!("logto-gateway: no runtime: {error}"));
            ExitCode::from(FAULT)
        }
    }
}
