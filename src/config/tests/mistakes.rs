//! Each kind of mistake is found, named, and answered with what would be right.

use super::super::Origin;
use super::Setup;

/// What the file says, the key that is blamed, and words of the complaint and of the advice.
const IN_THE_FILE: &[(&str, &str, &str, &str)] = &[
    // Wrong types
    ("budget.burst = \"many\"", "budget.burst", "is not a whole number", "from 1 to"),
    ("budget.burst = 1.5", "budget.burst", "is not a whole number", "from 1 to"),
    ("budget.burst = true", "budget.burst", "is not a whole number", "from 1 to"),
    ("budget.burst = 99999999999999999999", "budget.burst", "is not a whole number", "from 1 to"),
    ("budget.share = \"half\"", "budget.share", "is not a number", "0.5"),
    ("log.level = 3", "log.level", "is not a string", "quotes"),
    ("door.hosts = [1]", "door.hosts", "is not a string", "array of strings"),
    ("budget.window = []", "budget.window", "is not a duration", "\"10s\""),
    // Durations and sizes
    ("budget.window = 10", "budget.window", "bare number", "\"10s\""),
    ("budget.window = \"10\"", "budget.window", "bare number", "\"10s\""),
    ("budget.window = \"10 parsecs\"", "budget.window", "no unit of time: \"parsecs\"", "\"10s\""),
    ("budget.window = \"-1s\"", "budget.window", "is not a duration", "\"10s\""),
    ("budget.window = \"99999999999999999999h\"", "budget.window", "is not a duration", "\"10s\""),
    ("budget.window = \"9999999999999999999h\"", "budget.window", "longer than a year", "shorter"),
    ("cache.size_max = 64", "cache.size_max", "bare number", "\"64MiB\""),
    ("cache.size_max = \"64MeB\"", "cache.size_max", "no unit of size: \"MeB\"", "or \"off\""),
    ("cache.size_max = \"9999999999999999999GiB\"", "cache.size_max", "out of range", "1024GiB"),
    ("listen.headers_max = \"4KiB\"", "listen.headers_max", "out of range", "from 8KiB to 1MiB"),
    // Zero where it is nonsense
    ("listen.threads = 0", "listen.threads", "out of range", "from 1 to 256"),
    ("retry.attempts_max = 0", "retry.attempts_max", "out of range", "from 1 to 10"),
    ("budget.limit = 0", "budget.limit", "out of range", "or \"off\""),
    ("budget.window = \"0s\"", "budget.window", "no time at all", "above zero"),
    ("upstream.call_timeout = \"0s\"", "upstream.call_timeout", "no time at all", "above zero"),
    ("door.body_max = \"0B\"", "door.body_max", "out of range", "from 1B"),
    // The budget's rule
    ("budget.burst = 200", "budget.burst", "a burst of 200 leaves no rate", "199 or less"),
    ("budget.share = 0", "budget.share", "above 0", "up to 1.0"),
    ("budget.share = nan", "budget.share", "above 0", "up to 1.0"),
    ("budget.share = 0.01", "budget.share", "too few", "larger share"),
    ("budget.limit = 2", "budget.limit", "too few", "larger limit"),
    // Words
    (
        "log.format = \"jsn\"",
        "log.format",
        "is not one of \"auto\", \"human\", \"json\"",
        "did you mean \"json\"?",
    ),
    ("budget.model = \"leaky\"", "budget.model", "is not one of \"any\", \"token-bucket\"", "one of these"),
    ("budget.limit = \"none\"", "budget.limit", "is not a whole number", "or \"off\""),
    // The endpoint
    ("upstream.endpoint = \"acme.logto.app\"", "upstream.endpoint", "no scheme", "https://"),
    ("upstream.endpoint = \"ftp://acme.logto.app\"", "upstream.endpoint", "scheme other than", "https://"),
    (
        "upstream.endpoint = \"https://a.logto.app/api\"",
        "upstream.endpoint",
        "a path",
        "\"https://a.logto.app\"",
    ),
    (
        "upstream.endpoint = \"https://a.logto.app?x\"",
        "upstream.endpoint",
        "a query",
        "\"https://a.logto.app\"",
    ),
    (
        "upstream.endpoint = \"https://a.logto.app/#x\"",
        "upstream.endpoint",
        "a fragment",
        "\"https://a.logto.app\"",
    ),
    ("upstream.endpoint = \"https://me@a.logto.app\"", "upstream.endpoint", "a user name", "https://"),
    (
        "upstream.endpoint = \"https://a.logto.app:99999\"",
        "upstream.endpoint",
        "valid host and port",
        "https://",
    ),
    ("upstream.endpoint = \"https://:443\"", "upstream.endpoint", "", "https://"),
    ("upstream.endpoint = \"https://\"", "upstream.endpoint", "", "https://"),
    ("upstream.endpoint = \"https://a b\"", "upstream.endpoint", "is not a URL", "https://"),
    ("upstream.endpoint = \" \"", "upstream.endpoint", "is empty", "leave the key out"),
    ("upstream.resource = \"api\"", "upstream.resource", "not an absolute URI", "/api"),
    ("upstream.ca_file = \"/nowhere/ca.pem\"", "upstream.ca_file", "cannot be read", "a file"),
    ("cache.routes = \"/nowhere/routes.toml\"", "cache.routes", "cannot be read", "a file"),
    // Addresses
    ("listen.data = \"0.0.0.0:8480\"", "listen.data", "callers must be configured first", "localhost:8480"),
    ("listen.data = \"[::]:8480\"", "listen.data", "callers must be configured first", "localhost:8480"),
    (
        "listen.admin = \"10.0.0.7:8481\"",
        "listen.admin",
        "callers must be configured first",
        "localhost:8480",
    ),
    ("listen.health = \"8482\"", "listen.health", "is not a listen address", "0.0.0.0:8482"),
    ("listen.health = \":8482\"", "listen.health", "is not a listen address", "or \"off\""),
    ("listen.health = \"0.0.0.0:8481\"", "listen.health", "taken by listen.admin", "port of its own"),
    ("listen.health = \"[::]:8480\"", "listen.health", "taken by listen.data", "port of its own"),
    ("listen.data = \"8480\"", "listen.data", "is not a listen address", "localhost:8480"),
    ("listen.data = \"localhost:http\"", "listen.data", "no valid port", "localhost:8480"),
    ("listen.data = \"unix:run/x.sock\"", "listen.data", "names no file", "absolute"),
    ("listen.data = []", "listen.data", "names no address", "localhost:8480"),
    ("listen.data = \"localhost:8481\"", "listen.admin", "taken by listen.data", "port of its own"),
    ("listen.admin = \"127.0.0.1:8480\"", "listen.admin", "taken by listen.data", "port of its own"),
    ("listen.health = \"[::1]:8481\"", "listen.health", "taken by listen.admin", "port of its own"),
    ("listen.data = [\"unix:/a\", \"unix:/a\"]", "listen.data", "taken by listen.data", "of its own"),
    // The door
    ("door.hosts = [\"https://gw\"]", "door.hosts", "\"https://gw\": it has a scheme", "name alone"),
    (
        "door.hosts = [\"a\", \"gw:80\", \"b c\"]",
        "door.hosts",
        "\"gw:80\": it has a port; \"b c\"",
        "name alone",
    ),
    ("door.forward_headers = [\"x y\"]", "door.forward_headers", "is not a header name", "names alone"),
    ("door.forward_headers = [\"Authorization\"]", "door.forward_headers", "gateway's own", "leave it out"),
    ("door.held_bodies_max = \"1KiB\"", "door.held_bodies_max", "less than one body", "1MiB or more"),
    // Unknown keys
    ("budget.brust = 20", "budget.brust", "is not a key", "did you mean budget.burst?"),
    ("throttle.burst = 20", "throttle.burst", "is not a key", "did you mean budget.burst?"),
    ("weather = \"fine\"", "weather", "is not a key", "config/gateway.toml names every key"),
    ("budget = 5", "budget", "is a section", "write [budget]"),
    ("\"budget.burst\" = 5", "\"budget.burst\"", "is not a key", ""),
    ("[[caller]]\nname = \"a\"", "caller", "is not a key", ""),
];

#[test]
fn each_mistake_in_the_file_is_told_with_its_key_and_its_remedy() {
    for (file, key, wrong, right) in IN_THE_FILE {
        let setup = if file.starts_with("upstream.endpoint") {
            Setup::file(file).env(&super::ENOUGH[1..])
        } else {
            Setup::enough(file)
        };
        let problem = setup.only_problem();
        assert_eq!(problem.key.as_deref(), Some(*key), "{file}: {problem}");
        assert!(problem.wrong.contains(wrong) && problem.right.contains(right), "{file}: {problem}");
    }
}

#[test]
fn what_is_missing_is_named_with_its_variable_and_its_key() {
    let said = Setup::file("").problems().to_string();
    for words in [
        "✗ upstream.endpoint  (not set)",
        "LOGTO_ENDPOINT, or upstream.endpoint in config/gateway.toml",
        "LOGTO_APP_ID, or credentials.app_id",
        "LOGTO_APP_SECRET or LOGTO_APP_SECRET_FILE, or credentials.app_secret_file",
        "3 mistakes",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let problem =
        Setup::file("").env(&[super::ENOUGH[0], ("LOGTO_APP_ID", ""), super::ENOUGH[2]]).only_problem();
    assert_eq!((problem.key.as_deref(), problem.origin), (Some("credentials.app_id"), Origin::Missing));
}

#[test]
fn a_variable_that_is_not_utf_8_is_told_rather_than_sent() {
    let garbled = ("LOGTO_APP_SECRET", "s3cr\u{FFFD}t");
    let problem = Setup::file("").env(&super::ENOUGH[..2]).env(&[garbled]).only_problem();
    assert!(problem.wrong.contains("is not UTF-8"), "{problem}");
}

#[test]
fn all_mistakes_of_all_sources_are_told_at_once() {
    let setup = Setup::file("[budget]\nburst = \"x\"\nwindow = 3\n[log]\nlevle = \"info\"")
        .env(&[("LOGTO_ENDPOINT", "acme"), ("LOGTO_GATEWAY_RETRY__ATTEMPTS_MAX", "0")])
        .flag("log.format", "xml");
    let keys: Vec<_> = setup.problems().iter().filter_map(|problem| problem.key.clone()).collect();
    assert_eq!(
        keys,
        [
            "upstream.endpoint",
            "credentials.app_id",
            "credentials.app_secret",
            "budget.window",
            "budget.burst",
            "retry.attempts_max",
            "log.format",
            "log.levle"
        ]
    );
}

#[test]
fn a_mistake_is_shown_with_its_value_and_its_place() {
    let setup = Setup::enough("# a comment\n[budget]\n  burst = \"x\"");
    let said = setup.problems().to_string();
    let place =
        format!("✗ budget.burst = \"x\"  ({}:3:3)", setup.folder.path().join("gateway.toml").display());
    assert!(said.contains(&place), "{said}");
    assert!(said.starts_with("the configuration has a mistake:"), "{said}");
    let env = Setup::enough("").env(&[("LOGTO_GATEWAY_BUDGET__BURST", "x")]).problems().to_string();
    assert!(env.contains("= \"x\"  (environment variable LOGTO_GATEWAY_BUDGET__BURST)"), "{env}");
    let flag = Setup::enough("").flag("budget.burst", "x").problems().to_string();
    assert!(flag.contains("= \"x\"  (command line)"), "{flag}");
}

#[test]
fn a_file_that_is_not_toml_is_told_by_line_and_column_and_nothing_is_guessed_from_it() {
    let problem = Setup::file("[budget]\nburst = = 20\n").only_problem();
    assert!(matches!(problem.origin, Origin::File { line: 2, column: 9, .. }), "{problem}");
    assert!(problem.wrong.contains("this is not TOML"), "{problem}");
    let twice = Setup::file("[budget]\nburst = 1\nburst = 2\n").only_problem();
    assert!(matches!(twice.origin, Origin::File { line: 3, .. }), "{twice}");
}

#[test]
fn a_named_file_must_exist() {
    let setup = Setup::enough("");
    std::fs::remove_file(setup.folder.path().join("gateway.toml")).unwrap();
    assert!(setup.only_problem().wrong.contains("cannot be read"));
}

#[test]
fn a_variable_or_an_argument_that_is_no_key_is_a_mistake() {
    let problem = Setup::enough("").env(&[("LOGTO_GATEWAY_BUDGET__BRUST", "1")]).only_problem();
    assert_eq!(problem.right, "did you mean LOGTO_GATEWAY_BUDGET__BURST?");
    let problem = Setup::enough("").env(&[("LOGTO_GATEWAY_UPSTREAM__ENDPOINT", "x")]).only_problem();
    assert_eq!(problem.right, "did you mean LOGTO_ENDPOINT?");
    let problem = Setup::enough("").flag("log.frmat", "json").only_problem();
    assert_eq!((problem.origin, problem.right.as_str()), (Origin::CommandLine, "did you mean log.format?"));
}

#[test]
fn a_ca_file_must_hold_certificates() {
    let certificate = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (content, complaint) in [("hello", "no PEM certificate"), (broken, "broken certificate")] {
        let setup = Setup::enough("");
        let path = setup.write("ca.pem", content);
        let problem = setup.flag("upstream.ca_file", &path.display().to_string()).only_problem();
        assert!(problem.wrong.contains(complaint), "{problem}");
    }
    let setup = Setup::enough("");
    let path = setup.write("ca.pem", &certificate);
    let config = setup.flag("upstream.ca_file", &path.display().to_string()).config();
    assert_eq!(config.connect.extra_roots_pem.as_deref(), Some(certificate.as_bytes()));
}
