//! What does the API answer? JSON made from the newest snapshot, with a tag so that nobody fetches a sample twice.

use super::response::{Body, NO_CACHE, Parameters, RequestContext, Resource, compressible, response};
use crate::export::json;
use crate::report::{Explanation, Question, Report, UnknownLayer};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::units::SizeError;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode, body};
use thiserror::Error;

pub(super) const SNAPSHOT: &str = "/api/v1/snapshot";
pub(super) const EXPLAIN: &str = "/api/v1/explain";

/// A query that cannot be answered.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum QueryError {
    #[error("there is no parameter {0:?}; there are: layer, if_write")]
    Unknown(String),
    #[error("{0} is given twice")]
    Twice(&'static str),
    #[error("if_write: {0:?} is no size; write it in bytes, or as 20GiB or 500MB")]
    Size(String),
    #[error("if_write: {0:?} is more than 18446744073709551615 bytes")]
    TooLarge(String),
}

/// The answer below `/api/v1/`, or that the client has the answer of this sample already.
pub(super) fn answer(
    path: &str,
    query: &str,
    context: &RequestContext<'_>,
    headers: &HeaderMap,
) -> Response<Full<body::Bytes>> {
    let Some(snapshot) = context.snapshot else { return error(StatusCode::SERVICE_UNAVAILABLE, "no sample yet") };
    let parameters = match parameters(query) {
        _ if path == SNAPSHOT => None,
        Ok(parameters) => Some(parameters),
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    let tag = tag(snapshot, context.now);
    let known = knows(headers, &tag);
    // A layer may go from one sample to the next; it is looked for whatever the client knows.
    let named = parameters.as_ref().is_some_and(|parameters| parameters.layer.is_some());
    let mut response = if known && !named {
        not_modified()
    } else {
        match body(snapshot, context, parameters) {
            Ok(_) if known => not_modified(),
            Ok(body) => compressible(body, "application/json"),
            Err(unknown) if unknown.is_ambiguous() => return error(StatusCode::BAD_REQUEST, &unknown.to_string()),
            Err(unknown) => return error(StatusCode::NOT_FOUND, &unknown.to_string()),
        }
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, NO_CACHE);
    response
}

/// The snapshot, or what `explain` says to these parameters.
fn body(
    snapshot: &Snapshot,
    context: &RequestContext<'_>,
    parameters: Option<Parameters>,
) -> Result<Body, UnknownLayer> {
    let Some(parameters) = parameters else {
        return context.body(Resource::Snapshot, || Ok(json::line(&Report::new(snapshot, context.now)).into_bytes()));
    };
    let resource = Resource::Explain(parameters.clone());
    context.body(resource, || {
        let question = Question { layer: parameters.layer.as_deref(), written: parameters.written };
        Explanation::new(snapshot, context.now, question).map(|explanation| json::line(&explanation).into_bytes())
    })
}

/// The query of `explain`: `layer` and `if_write`, each at most once and nothing else.
fn parameters(query: &str) -> Result<Parameters, QueryError> {
    let mut found = Parameters::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "layer" if found.layer.is_none() => found.layer = Some(value.into_owned()),
            "layer" => return Err(QueryError::Twice("layer")),
            "if_write" if found.written.is_none() => {
                let size = value.parse().map_err(|error| match error {
                    SizeError::Form => QueryError::Size(shortened(&value)),
                    SizeError::TooLarge => QueryError::TooLarge(shortened(&value)),
                })?;
                found.written = Some(size);
            }
            "if_write" => return Err(QueryError::Twice("if_write")),
            _ => return Err(QueryError::Unknown(shortened(&name))),
        }
    }
    Ok(found)
}

/// What a client sent, as far as it is worth repeating.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Names the sample. The tag is weak: the age in an answer moves on, and the packed one is of other bytes.
fn tag(snapshot: &Snapshot, now: Timestamp) -> String {
    let state = if snapshot.is_stale(now) { "stale" } else { "fresh" };
    format!("W/\"{}-{state}\"", snapshot.sample.at.micros())
}

fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').map(str::trim).any(|candidate| candidate == "*" || candidate == tag)
}

fn not_modified() -> Response<Full<body::Bytes>> {
    let mut response = compressible(Body::new("", false), "application/json");
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// What is wrong, as JSON.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Full<body::Bytes>> {
    let mut response = response(json::error(message), "application/json");
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn a_query_is_decoded_and_nothing_in_it_is_passed_over() {
        let asked = |query| parameters(query).map(|found| (found.layer, found.written.map(Bytes::get)));
        let layer = || Some("host/a b/c&d".to_owned());
        let cases = [
            ("", Ok((None, None))),
            ("layer=host%2Fa+b/c%26d", Ok((layer(), None))),
            ("if_write=20GiB&layer=host/a%20b/c%26d", Ok((layer(), Some(20 << 30)))),
            ("if_write=0", Ok((None, Some(0)))),
            ("layer=", Ok((Some(String::new()), None))),
            ("layer=a&layer=b", Err(QueryError::Twice("layer"))),
            ("if_write=1&if_write=1", Err(QueryError::Twice("if_write"))),
            ("if_write=-1", Err(QueryError::Size("-1".to_owned()))),
            ("if_write=18446744073709551615", Ok((None, Some(u64::MAX)))),
            ("if_write=16384PiB", Err(QueryError::TooLarge("16384PiB".to_owned()))),
            ("if_write", Err(QueryError::Size(String::new()))),
            ("layr=host", Err(QueryError::Unknown("layr".to_owned()))),
            ("%ff=1", Err(QueryError::Unknown("\u{FFFD}".to_owned()))),
        ];
        for (query, expected) in cases {
            assert_eq!(asked(query), expected, "{query}");
        }
    }
}
