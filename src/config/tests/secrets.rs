//! The application's secret is found wherever it may be kept, and shown nowhere.

use super::{ENOUGH, Setup};
use crate::config::value::MASK;

#[test]
fn a_secret_is_read_from_a_file_without_its_last_newline() {
    for content in ["s3cret", "s3cret\n", "s3cret\r\n"] {
        let setup = Setup::file("").env(&ENOUGH[..2]);
        let path = setup.write("secret", content).display().to_string();
        let config = setup.env(&[("LOGTO_APP_SECRET_FILE", &path)]).config();
        assert_eq!(config.token.app_secret.expose(), "s3cret");
    }
}

#[test]
fn a_secret_file_must_be_there_and_hold_something() {
    for (content, complaint) in
        [(None, "cannot be read"), (Some("\n"), "empty file"), (Some(""), "empty file")]
    {
        let setup = Setup::file("").env(&ENOUGH[..2]);
        let path = setup.folder.path().join("secret");
        if let Some(content) = content {
            setup.write("secret", content);
        }
        let problem = setup.env(&[("LOGTO_APP_SECRET_FILE", &path.display().to_string())]).only_problem();
        assert_eq!(problem.key.as_deref(), Some("credentials.app_secret_file"));
        assert!(problem.wrong.contains(complaint), "{problem}");
    }
}

#[test]
fn a_secret_given_twice_is_a_mistake_even_across_sources() {
    let setup = Setup::enough("");
    let path = setup.write("secret", "other").display().to_string();
    let setup = Setup::enough(&format!("credentials.app_secret_file = {path:?}"));
    setup.write("secret", "other");
    let said = setup.problems().to_string();
    assert!(said.contains("is given twice") && said.contains("gateway.toml:1:1"), "{said}");
}

#[test]
fn a_secret_does_not_come_from_the_command_line() {
    let problem = Setup::file("").env(&ENOUGH[..2]).flag("credentials.app_secret", "hunter2").only_problem();
    assert!(problem.wrong.contains("arguments") && problem.right.contains("LOGTO_APP_SECRET"), "{problem}");
}

#[test]
fn whatever_is_wrong_with_a_secret_it_is_not_shown() {
    let files = [
        "credentials.app_secret = \"hunter2",
        "credentials.app_secret = hunter2",
        "credentials.app_secret = [\"hunter2\"]",
        "credentials.app_secert = \"hunter2\"",
        "[credentials]\nhunter2hunter2 = = 1",
        "upstream.endpoint = \"https://me:hunter2@acme.logto.app\"",
        "upstream.resource = \"me:hunter2@acme.logto.app\"",
    ];
    for file in files {
        let problems = Setup::file(file).problems();
        let shown = format!("{problems}{problems:?}");
        assert!(!shown.contains("hunter2"), "{file}: {shown}");
    }
    let problems = Setup::file("credentials.app_secret = [\"hunter2\"]").problems().to_string();
    assert!(problems.contains(&format!("credentials.app_secret = {MASK}")), "{problems}");
    let misspelt = [("LOGTO_GATEWAY_CREDENTIALS__APP_SECERT", "hunter2")];
    assert!(!Setup::enough("").env(&misspelt).problems().to_string().contains("hunter2"));
    assert!(
        !Setup::enough("")
            .flag("credentials.app_secret", "hunter2")
            .problems()
            .to_string()
            .contains("hunter2")
    );
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_everybody_may_read_is_warned_about() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::file("credentials.app_secret = \"s3cret\"").env(&ENOUGH[..2]);
    let path = setup.folder.path().join("gateway.toml");
    for (mode, warnings) in [(0o644, 1), (0o600, 0), (0o640, 0)] {
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let loaded = setup.loaded();
        assert_eq!(loaded.config.token.app_secret.expose(), "s3cret");
        assert_eq!(loaded.warnings.len(), warnings, "{:?}", loaded.warnings);
    }
}
