//! What the writer of a table with mistakes is told: all of them, each with its route.

use super::*;

fn mistakes(text: &str) -> String {
    Catalog::parse(text).unwrap_err().to_string()
}

#[test]
fn every_mistake_of_a_table_is_told_at_once_with_its_route() {
    let told = mistakes(
        r#"
        not_management = ["/authn", "/api/authn", "/api/authn"]
        [sets]
        users = "by user"
        roles = ""
        [groups]
        all = ["users", "role"]
        users = []
        [[route]]
        path = "/api/users/{id}"
        GET = { class = "fast", reads = ["users[userId]", "user", "roles[+]", "all"], upload = true }
        PATCH = {}
        PUT = { class = "user", changes = ["users[]", "groups"] }
        DELETE = { changes = [], reads = ["users"] }
        [[route]]
        path = "/api/users/{userId}"
        POST = { changes = ["all"] }
        [[route]]
        path = "/api/roles/{id}/{x}"
        free_name = true
        GET = { class = "user" }
        POST = { changes = ["users[id]", "users[x]"], localised = true }
        PUT = { changes = ["roles[id]"] }
        [[route]]
        path = "/api/accounts/{id}"
        GET = { reads = ["roles[id]"] }
        [[route]]
        path = "/api/Users"
        [[route]]
        path = "/api/empty"
        [[route]]
        path = "/api/free"
        free_name = true
        "#,
    );
    for part in [
        "not_management /authn: a path begins with",
        "not_management /api/authn: appears twice",
        "[groups] all: `role` is no data set",
        "[groups] users: is a data set already",
        "GET /api/users/{id}: `fast` is no class; take one of rbac, config",
        "GET /api/users/{id}: `users[userId]`: the path has no parameter `{userId}`",
        "GET /api/users/{id}: `user` is no data set",
        "GET /api/users/{id}: `roles[+]`: only a change can add",
        "GET /api/users/{id}: `all` is a group",
        "GET /api/users/{id}: `upload` is for writes",
        "PATCH /api/users/{id}: a write says what it `changes`",
        "PUT /api/users/{id}: `class` is for GET",
        "PUT /api/users/{id}: `users[]`: write `users`",
        "PUT /api/users/{id}: `groups` is no data set",
        "DELETE /api/users/{id}: `reads` is for GET",
        "/api/users/{userId}: is the same path as /api/users/{id}",
        "GET /api/roles/{id}/{x}: a GET says what it `reads`",
        "POST /api/roles/{id}/{x}: `users[x]`: no literal stands before",
        "POST /api/roles/{id}/{x}: `localised` is for GET",
        "GET /api/accounts/{id}: `roles[id]`: elsewhere members of `roles` are named after `roles/`",
        "GET /api/accounts/{id}: a GET has a `class`",
        "/api/Users: `Users`: a literal is made of lower-case letters",
        "/api/empty: has no method",
        "/api/free: `free_name` is for a path that ends in a parameter",
    ] {
        assert!(told.contains(part), "missing: {part}\nin: {told}");
    }
}

#[test]
fn a_key_nobody_knows_is_named() {
    let told = mistakes("[sets]\n[[route]]\npath = \"/api/users\"\nFETCH = {}");
    assert!(told.contains("FETCH"), "{told}");
}
