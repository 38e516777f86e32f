//! Looking up paths: aliases, literals before parameters, what is refused and what is unknown.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

fn known(catalog: &Catalog, method: &Method, path: &str) -> Match {
    match catalog.lookup(method, path) {
        Found::Known(found) => found,
        other => panic!("{method} {path}: {other:?}"),
    }
}

#[test]
fn aliases_of_a_resource_have_one_spelling_and_one_value() {
    let catalog = Catalog::logto();
    for path in ["/api/users/iD", "/api/users/iD/", "/api/USERS/iD", "/api/users/%69D", "/api/uSeRs/%69%44/"]
    {
        let found = known(&catalog, &Method::GET, path);
        assert_eq!(found.canonical(), "/api/users/iD");
        assert_eq!(found.params().collect::<Vec<_>>(), [("userId", "iD".into())]);
    }
}

#[test]
fn what_is_no_alias_is_unknown() {
    let catalog = Catalog::logto();
    for path in [
        "/api/%75sers/iD",
        "/API/users/iD",
        "/api//users",
        "/api/users//",
        "/api/./users",
        "/api/users;x",
        "/users",
        "/api",
        "/api/",
        "/",
        "",
        "*",
        "/apiusers",
    ] {
        assert!(matches!(catalog.lookup(&Method::GET, path), Found::Unknown { .. }), "{path}");
    }
    assert_eq!(catalog.lookup(&Method::GET, "/api/No/Such/").canonical(), Some("/api/No/Such"));
}

#[test]
fn a_literal_beats_a_parameter_for_each_method_by_itself() {
    let catalog = Catalog::logto();
    for (method, path, template) in [
        (
            Method::POST,
            "/api/users/1/personal-access-tokens/delete",
            "/api/users/{userId}/personal-access-tokens/delete",
        ),
        (
            Method::DELETE,
            "/api/users/1/personal-access-tokens/delete",
            "/api/users/{userId}/personal-access-tokens/{name}",
        ),
        (Method::GET, "/api/configs/oidc/session", "/api/configs/oidc/session"),
        (Method::GET, "/api/configs/oidc/SESSION", "/api/configs/oidc/session"),
        (Method::GET, "/api/configs/oidc/private-keys", "/api/configs/oidc/{keyType}"),
        (Method::POST, "/api/organizations/o/users/roles", "/api/organizations/{id}/users/roles"),
        (
            Method::POST,
            "/api/organizations/o/users/roles/roles",
            "/api/organizations/{id}/users/{userId}/roles",
        ),
        (Method::DELETE, "/api/organizations/o/users/roles", "/api/organizations/{id}/users/{userId}"),
        (Method::PUT, "/api/configs/jwt-customizer/test", "/api/configs/jwt-customizer/{tokenTypePath}"),
        (Method::POST, "/api/configs/jwt-customizer/test", "/api/configs/jwt-customizer/test"),
    ] {
        assert_eq!(&*known(&catalog, &method, path).route().template, template, "{method} {path}");
    }
}

#[test]
fn an_encoded_literal_does_not_pass_for_the_literal() {
    let catalog = Catalog::logto();
    for path in ["/api/configs/oidc/%73ession", "/api/configs/oidc/%53ESSION"] {
        assert!(matches!(catalog.lookup(&Method::GET, path), Found::Unknown { .. }), "{path}");
    }
}

#[test]
fn head_is_get_and_other_methods_are_unknown() {
    let catalog = Catalog::logto();
    assert_eq!(
        known(&catalog, &Method::HEAD, "/api/users").route().id,
        known(&catalog, &Method::GET, "/api/users").route().id
    );
    for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT, Method::PUT] {
        assert!(matches!(catalog.lookup(&method, "/api/users"), Found::Unknown { .. }), "{method}");
    }
}

#[test]
fn flows_of_users_and_browsers_are_refused_with_everything_below() {
    let catalog = Catalog::logto();
    for path in [
        "/api/my-account",
        "/api/My-Account/",
        "/api/experience/a/b",
        "/api/interaction",
        "/api/saml/x/authn",
        "/api/saml-applications/x/callback",
    ] {
        assert!(matches!(catalog.lookup(&Method::GET, path), Found::NotManagement), "{path}");
    }
    assert!(matches!(catalog.lookup(&Method::GET, "/api/my-accounts"), Found::Unknown { .. }));
    known(&catalog, &Method::GET, "/api/saml-applications/callback");
}

#[test]
fn a_free_name_keeps_its_encoded_slash_in_one_segment() {
    let catalog = Catalog::logto();
    let found = known(&catalog, &Method::DELETE, "/api/users/u/personal-access-tokens/a%2fb%5Cc");
    assert!(found.route().free_name);
    assert_eq!(found.param("name").as_deref(), Some("a/b\\c"));
    assert_eq!(found.canonical(), "/api/users/u/personal-access-tokens/a%2Fb%5Cc");
}

#[test]
fn ids_are_dense_and_templates_are_shared_by_methods() {
    let catalog = Catalog::logto();
    let templates: Vec<&str> = catalog.templates().collect();
    for (place, route) in catalog.routes().enumerate() {
        assert_eq!(route.id.index(), place);
        assert_eq!(templates[route.template_id.index()], &*route.template);
    }
}

#[test]
fn a_set_or_a_group_has_tags_to_purge_by() {
    let catalog = Catalog::logto();
    let held = known(&catalog, &Method::GET, "/api/users/u").reads();
    for name in ["users", "sso-identities", "rbac"] {
        assert!(catalog.tags_of_set(name).unwrap().iter().any(|tag| held.contains(tag)), "{name}");
    }
    assert!(!catalog.tags_of_set("roles").unwrap().iter().any(|tag| held.contains(tag)));
    assert_eq!(catalog.tags_of_set("user"), None);
}

fn nasty_segment() -> impl Strategy<Value = String> {
    let words = "users USERS oidc session %73ession %53ession rotate roles %52oles delete my-account %2e%2e .. \
                 a%2fb a%252Fb a%20b %zz % %ff %C3%A9 é %00 {p} {*rest} a;b * ?x#y";
    let words: Vec<&'static str> = words.split(' ').chain(["", "a b"]).collect();
    prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9%/{}.~ -]{0,8}",
        1 => any::<String>(),
    ]
}

/// Templates with nasty values in them, and paths made of nothing but nasty segments.
fn nasty_path() -> impl Strategy<Value = String> {
    let templates: Vec<&'static str> = catalog().templates().collect();
    let filled = (prop::sample::select(templates), prop::collection::vec(nasty_segment(), 4), any::<bool>());
    let filled = filled.prop_map(|(template, values, shout)| {
        let mut values = values.into_iter();
        let fill = |segment: &str| match segment.starts_with('{') {
            true => values.next().unwrap_or_default(),
            false if shout && segment != "api" => segment.to_uppercase(),
            false => segment.to_owned(),
        };
        template.split('/').map(fill).collect::<Vec<_>>().join("/")
    });
    let loose = (prop_oneof!["/api", "/API", "", "/"], prop::collection::vec(nasty_segment(), 0..6));
    let loose = loose.prop_map(|(start, segments)| format!("{start}/{}", segments.join("/")));
    (prop_oneof![filled, loose], "/{0,2}").prop_map(|(path, end)| path + &end)
}

proptest! {
    #[test]
    fn a_canonical_path_is_its_own_canonical_path(path in nasty_path(), method in prop::sample::select(&METHODS[..])) {
        let catalog = catalog();
        let found = catalog.lookup(&method, &path);
        let Some(once) = found.canonical() else { return Ok(()) };
        let again = catalog.lookup(&method, once);
        prop_assert_eq!(again.canonical(), Some(once));
        match (&found, &again) {
            (Found::Known(a), Found::Known(b)) => {
                prop_assert_eq!(a.route().id, b.route().id);
                prop_assert_eq!(a.params().collect::<Vec<_>>(), b.params().collect::<Vec<_>>());
                prop_assert_eq!(a.reads(), b.reads());
            }
            (Found::Unknown { .. }, Found::Unknown { .. }) => {}
            _ => prop_assert!(false, "{:?} became {:?}", found, again),
        }
    }

    #[test]
    fn two_ids_share_a_spelling_only_if_they_are_equal(a in "[ -~é]{1,6}", b in "[ -~é]{1,6}") {
        let spelling = |id: &str| {
            let raw: String = utf8_percent_encode(id, NON_ALPHANUMERIC).collect();
            catalog().lookup(&Method::GET, &format!("/api/users/{raw}")).canonical().map(str::to_owned)
        };
        prop_assert_eq!(spelling(&a) == spelling(&b), a == b);
    }
}

fn catalog() -> &'static Catalog {
    static CATALOG: std::sync::LazyLock<Catalog> = std::sync::LazyLock::new(Catalog::logto);
    &CATALOG
}
