//! ETags, and when a GET is answered with 304.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use sha1::{Digest, Sha1};

use super::answer::Answer;

/// Tags the answer to a GET, and empties it when the client has that body already.
pub(super) fn tagged(mut answer: Answer, request: &HeaderMap) -> Answer {
    if answer.status != StatusCode::OK || answer.body.is_empty() {
        return answer;
    }
    let tag = tag_of(&answer.body);
    if is_fresh(request, &tag) {
        answer.status = StatusCode::NOT_MODIFIED;
        answer.content_type = None;
        answer.body.clear();
    }
    answer.after.push((header::ETAG, tag));
    answer
}

/// The tag that npm's `etag` makes: the length in hex, then 27 characters of the SHA-1 in base64.
fn tag_of(body: &[u8]) -> String {
    let hash = STANDARD.encode(Sha1::digest(body));
    format!("\"{:x}-{}\"", body.len(), &hash[..27])
}

/// Fresh as npm's `fresh` has it: tags compare weakly, and `Cache-Control: no-cache` wants the body.
fn is_fresh(request: &HeaderMap, tag: &str) -> bool {
    let Some(wanted) = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    if words(request, header::CACHE_CONTROL).any(|word| word.eq_ignore_ascii_case("no-cache")) {
        return false;
    }
    wanted.trim() == "*" || wanted.split(',').map(str::trim).any(|one| one.trim_start_matches("W/") == tag)
}

fn words(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::tag_of;

    #[test]
    fn a_recorded_body_has_the_recorded_tag() {
        assert_eq!(tag_of(br#"{"hasPassword":true}"#), "\"14-YDGPJacNmpnyUKEMHVb/BVBbOHU\"");
    }
}
