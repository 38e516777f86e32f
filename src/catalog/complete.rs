//! The built-in table is held against the list of all operations of Logto 1.42.

use std::collections::BTreeSet;

use super::*;

const OPERATIONS: &str = include_str!("../../tests/data/operations.tsv");

/// Each GET with its class and the sets its answer is made of, as far as is known from Logto's handlers.
const READS: &str = include_str!("../../tests/data/reads.tsv");

/// Rows for routes that the list lacks: behind a development flag in 1.42.
const AHEAD: [(&str, &str); 5] = [
    ("GET", "/api/users/{userId}/trusted-devices"),
    ("DELETE", "/api/users/{userId}/trusted-devices/{trustedDeviceId}"),
    ("GET", "/api/sso-connectors/{id}/idp-initiated-auth-config"),
    ("PUT", "/api/sso-connectors/{id}/idp-initiated-auth-config"),
    ("DELETE", "/api/sso-connectors/{id}/idp-initiated-auth-config"),
];

fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATIONS.lines().map(|line| line.split_once('\t').unwrap())
}

fn look(catalog: &Catalog, method: &str, template: &str) -> Found {
    let path = template.replace(['{', '}'], "");
    catalog.lookup(&method.parse().unwrap(), &path)
}

#[test]
fn every_operation_has_a_row_or_is_refused() {
    let catalog = Catalog::logto();
    let (mut known, mut refused) = (0, 0);
    for (method, template) in operations() {
        match look(&catalog, method, template) {
            Found::Known(found) => {
                assert_eq!((found.route().method.as_str(), &*found.route().template), (method, template));
                known += 1;
            }
            Found::NotManagement => refused += 1,
            Found::Unknown { .. } => panic!("{method} {template} has no row"),
        }
    }
    assert_eq!((known, refused), (278, 81));
}

#[test]
fn what_is_refused_is_the_flows_of_users_and_browsers() {
    let catalog = Catalog::logto();
    let refused =
        operations().filter(|(method, path)| matches!(look(&catalog, method, path), Found::NotManagement));
    let below = |prefix: &str, path: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut counts = std::collections::BTreeMap::new();
    for (_, path) in refused {
        let area = [
            "/api/my-account",
            "/api/experience",
            "/api/verifications",
            "/api/authn",
            "/api/saml",
            "/api/saml-applications",
        ];
        *counts.entry(area.into_iter().find(|area| below(area, path)).unwrap()).or_insert(0) += 1;
    }
    let expected = [
        ("/api/authn", 3),
        ("/api/experience", 37),
        ("/api/my-account", 31),
        ("/api/saml", 2),
        ("/api/saml-applications", 1),
        ("/api/verifications", 7),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn every_row_is_an_operation_of_the_list_or_named_as_ahead_of_it() {
    let listed: BTreeSet<(&str, &str)> = operations().chain(AHEAD).collect();
    let catalog = Catalog::logto();
    for route in catalog.routes() {
        assert!(
            listed.contains(&(route.method.as_str(), &*route.template)),
            "{} {}",
            route.method,
            route.template
        );
    }
    assert_eq!(catalog.routes().len(), 278 + AHEAD.len());
}

#[test]
fn every_get_has_its_class_and_depends_on_what_its_answer_is_made_of() {
    let catalog = Catalog::logto();
    for line in READS.lines() {
        let [template, class, sets] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let Found::Known(found) = look(&catalog, "GET", template) else { panic!("{template}") };
        assert_eq!(found.route().class.name(), class, "{template}");
        for set in sets.split_whitespace() {
            let tags = catalog.tags_of_set(set).unwrap();
            assert!(found.reads().iter().any(|tag| tags.contains(tag)), "{template} doesn't read {set}");
        }
    }
    let gets = catalog.routes().filter(|route| route.method == Method::GET).count();
    assert_eq!(READS.lines().count(), gets);
}

#[test]
fn every_set_is_changed_by_something_and_read_by_something() {
    let outside = ["logs"]; // written by time and traffic
    let catalog = Catalog::logto();
    for set in catalog.sets() {
        let tags = catalog.tags_of_set(set).unwrap();
        let read = |route: &&Arc<Route>| route.reads.tags("").iter().any(|tag| tags.contains(tag));
        let changed = |route: &&Arc<Route>| route.changes.tags("").contains(&tags[0]);
        assert!(catalog.routes().any(|route| read(&route)), "nothing reads {set}");
        assert!(
            outside.contains(&set) || catalog.routes().any(|route| changed(&route)),
            "nothing changes {set}"
        );
    }
}

#[test]
fn every_answer_that_may_be_stored_depends_on_something_unless_static() {
    for route in Catalog::logto().routes().filter(|route| route.storable()) {
        assert_eq!(route.class == Class::Static, route.reads.is_empty(), "{}", route.template);
    }
}

#[test]
fn only_calls_without_effect_on_stored_answers_change_nothing() {
    let idle: BTreeSet<String> = Catalog::logto()
        .routes()
        .filter(|route| route.method != Method::GET && !route.writes())
        .map(|route| format!("{} {}", route.method, route.template))
        .collect();
    let expected = [
        "POST /api/configs/actions/test",
        "POST /api/configs/jwt-customizer/test",
        "POST /api/connectors/{connectorId}/authorization-uri",
        "POST /api/connectors/{factoryId}/test",
        "POST /api/hooks/{id}/test",
        "POST /api/organization-invitations/{id}/message",
        "POST /api/sentinel-activities/delete",
        "POST /api/sign-in-exp/default/check-password",
        "POST /api/sign-in-exp/default/custom-ui-assets",
        "POST /api/subject-tokens",
        "POST /api/user-assets",
        "POST /api/verification-codes",
        "POST /api/verification-codes/verify",
    ];
    assert_eq!(idle, expected.map(str::to_owned).into());
}

#[test]
fn only_the_gets_that_ask_the_edge_write() {
    let catalog = Catalog::logto();
    let writing: BTreeSet<&str> = catalog
        .routes()
        .filter(|route| route.method == Method::GET && route.writes())
        .map(|route| &*route.template)
        .collect();
    let expected =
        ["/api/applications/{id}/protected-app-metadata/custom-domains", "/api/domains", "/api/domains/{id}"];
    assert_eq!(writing, expected.into());
}

#[test]
fn answers_with_secrets_and_calls_that_mint_credentials_are_marked() {
    let catalog = Catalog::logto();
    for operation in [
        "GET /api/applications",
        "GET /api/applications/a",
        "GET /api/applications/a/secrets",
        "POST /api/applications/a/secrets",
        "PATCH /api/applications/a/secrets/n",
        "DELETE /api/applications/a/secrets/n",
        "DELETE /api/applications/a/legacy-secret",
        "POST /api/applications/a/roles",
        "PUT /api/applications/a/roles",
        "GET /api/roles/r/applications",
        "POST /api/roles/r/applications",
        "GET /api/organizations/o/applications",
        "GET /api/configs/jwt-customizer",
        "GET /api/configs/jwt-customizer/access-token",
        "GET /api/configs/actions",
        "GET /api/configs/actions/a",
        "POST /api/configs/oidc/private-keys/rotate",
        "GET /api/connectors",
        "GET /api/connectors/c",
        "GET /api/sso-connectors",
        "GET /api/sso-connectors/c",
        "POST /api/sso-connectors/c/signing-keys",
        "GET /api/users/u/personal-access-tokens",
        "POST /api/users/u/personal-access-tokens",
        "GET /api/hooks",
        "GET /api/hooks/h",
        "PATCH /api/hooks/h/signing-key",
        "GET /api/saml-applications/a/secrets",
        "POST /api/saml-applications/a/secrets",
        "GET /api/one-time-tokens",
        "GET /api/one-time-tokens/t",
        "POST /api/one-time-tokens",
        "GET /api/captcha-provider",
        "POST /api/subject-tokens",
    ] {
        let (method, path) = operation.split_once(' ').unwrap();
        let Found::Known(found) = look(&catalog, method, path) else { panic!("{operation}") };
        assert!(found.route().secret && !found.route().storable(), "{operation}");
    }
}
