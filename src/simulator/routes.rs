//! The routes that are simulated, and which of them a path means.

use super::answer::Outcome;
use super::api::Ask;
use super::holders::Holder::{Application, User};
use super::store::Store;
use super::{applications, members, organizations, roles, system, users};

/// A function that answers one operation.
pub(super) type Handler = fn(&Ask<'_>, &mut Store) -> Outcome;

/// One path of the API and what can be done with it. The order of the verbs is the order in `Allow`.
pub(super) struct Route {
    pub(super) template: &'static str,
    pub(super) access: Access,
    pub(super) verbs: &'static [(&'static str, Handler)],
}

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Anyone,
    Token,
}

impl Route {
    pub(super) fn handler(&self, method: &str) -> Option<Handler> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.verbs.iter().find(|(name, _)| *name == method).map(|&(_, handler)| handler)
    }

    /// The value of `Allow`: a router that knows GET knows HEAD.
    pub(super) fn allow(&self) -> String {
        let names = self.verbs.iter().map(|&(name, _)| if name == "GET" { "HEAD, GET" } else { name });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The route of a path below `/api`, with its parameters decoded. Literals match in any case but only as they
/// are written, one slash at the end is passed over, and nothing is normalised.
pub(super) fn find(path: &str) -> Option<(&'static Route, Vec<String>)> {
    let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    let segments: Vec<&str> = path.split('/').collect();
    ROUTES.iter().find_map(|route| Some((route, parameters(route.template, &segments)?)))
}

fn parameters(template: &str, segments: &[&str]) -> Option<Vec<String>> {
    if template.split('/').count() != segments.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (expected, &found) in template.split('/').zip(segments) {
        if expected.starts_with('{') && !found.is_empty() {
            parameters.push(decoded(found));
        } else if !expected.eq_ignore_ascii_case(found) {
            return None;
        }
    }
    Some(parameters)
}

/// What doesn't decode is taken as it is written.
fn decoded(segment: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    decoded.map_or_else(|_| segment.to_owned(), std::borrow::Cow::into_owned)
}

const fn route(template: &'static str, verbs: &'static [(&'static str, Handler)]) -> Route {
    Route { template, access: Access::Token, verbs }
}

const fn open(template: &'static str, verbs: &'static [(&'static str, Handler)]) -> Route {
    Route { template, access: Access::Anyone, verbs }
}

pub(super) static ROUTES: &[Route] = &[
    open("/status", &[("GET", system::status)]),
    open("/swagger.json", &[("GET", system::swagger)]),
    open("/.well-known/sign-in-exp", &[("GET", system::sign_in_experience)]),
    route("/logs", &[("GET", system::logs)]),
    route("/logs/{id}", &[("GET", system::log)]),
    route("/users", &[("POST", users::create), ("GET", users::list)]),
    route("/users/{id}", &[("GET", users::get), ("PATCH", users::update), ("DELETE", users::delete)]),
    route("/users/{id}/custom-data", &[("GET", users::custom_data), ("PATCH", users::update_custom_data)]),
    route("/users/{id}/profile", &[("PATCH", users::update_profile)]),
    route("/users/{id}/password", &[("PATCH", users::update_password)]),
    route("/users/{id}/password/verify", &[("POST", users::verify_password)]),
    route("/users/{id}/has-password", &[("GET", users::has_password)]),
    route("/users/{id}/is-suspended", &[("PATCH", users::suspend)]),
    route(
        "/users/{id}/roles",
        &[
            ("GET", |ask, store| User.roles(ask, store)),
            ("POST", |ask, store| User.assign(ask, store)),
            ("PUT", |ask, store| User.replace(ask, store)),
        ],
    ),
    route("/users/{id}/roles/{roleId}", &[("DELETE", |ask, store| User.unassign(ask, store))]),
    route("/users/{id}/organizations", &[("GET", members::organizations_of)]),
    route("/roles", &[("GET", roles::list), ("POST", roles::create)]),
    route("/roles/{id}", &[("GET", roles::get), ("PATCH", roles::update), ("DELETE", roles::delete)]),
    route(
        "/roles/{id}/users",
        &[
            ("GET", |ask, store| User.of_role(ask, store)),
            ("POST", |ask, store| User.add_to_role(ask, store)),
        ],
    ),
    route("/roles/{id}/users/{userId}", &[("DELETE", |ask, store| User.remove_from_role(ask, store))]),
    route(
        "/roles/{id}/applications",
        &[
            ("GET", |ask, store| Application.of_role(ask, store)),
            ("POST", |ask, store| Application.add_to_role(ask, store)),
        ],
    ),
    route(
        "/roles/{id}/applications/{applicationId}",
        &[("DELETE", |ask, store| Application.remove_from_role(ask, store))],
    ),
    route("/organizations", &[("GET", organizations::list), ("POST", organizations::create)]),
    route(
        "/organizations/{id}",
        &[("GET", organizations::get), ("PATCH", organizations::update), ("DELETE", organizations::delete)],
    ),
    route(
        "/organizations/{id}/users",
        &[("GET", members::list), ("POST", members::add), ("PUT", members::replace)],
    ),
    route("/organizations/{id}/users/{userId}", &[("DELETE", members::remove)]),
    route(
        "/organizations/{id}/users/{userId}/roles",
        &[("GET", members::list_roles), ("POST", members::add_roles), ("PUT", members::replace_roles)],
    ),
    route("/organizations/{id}/users/{userId}/roles/{roleId}", &[("DELETE", members::remove_role)]),
    route("/organization-roles", &[("GET", organizations::list_roles), ("POST", organizations::create_role)]),
    route(
        "/organization-roles/{id}",
        &[("GET", organizations::get_role), ("DELETE", organizations::delete_role)],
    ),
    route("/applications", &[("GET", applications::list), ("POST", applications::create)]),
    route(
        "/applications/{id}",
        &[("GET", applications::get), ("PATCH", applications::update), ("DELETE", applications::delete)],
    ),
    route(
        "/applications/{id}/roles",
        &[
            ("GET", |ask, store| Application.roles(ask, store)),
            ("POST", |ask, store| Application.assign(ask, store)),
            ("PUT", |ask, store| Application.replace(ask, store)),
        ],
    ),
    route("/applications/{id}/roles/{roleId}", &[("DELETE", |ask, store| Application.unassign(ask, store))]),
    route(
        "/applications/{id}/secrets",
        &[("GET", applications::secrets), ("POST", applications::create_secret)],
    ),
    route("/applications/{id}/secrets/{name}", &[("DELETE", applications::delete_secret)]),
];
