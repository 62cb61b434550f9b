//! The answers of `/health` and `/ready`.

use serde::Serialize;

/// Whether a restart would help; what `/health` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Liveness {
    /// All is well: 200, `"status":"ok"`.
    Ok,
    /// Something is wrong that a restart would not cure: 200, `"status":"degraded"`. The reasons read `component: why`.
    Degraded(Vec<String>),
    /// A restart would help: 503, `"status":"failing"`. The reasons for it stand before those that are mere
    /// degradations.
    Failing(Vec<String>),
}

/// Whether the work is being done; what `/ready` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Readiness {
    /// 200, `"status":"ready"`.
    Ready,
    /// 503, `"status":"not_ready"`. The reasons read `component: why`.
    NotReady(Vec<String>),
}

/// The order of the fields is the order of the keys, which scripts compare byte by byte.
#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    service: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
}

/// The JSON of an answer. Strings and lists of strings always serialise.
fn json(status: &'static str, service: &str, reasons: &[String]) -> String {
    serde_json::to_string(&Answer { status, service, reasons }).unwrap_or_default()
}

/// Status code and body of `/health`.
pub(crate) fn liveness_json(liveness: &Liveness, service: &str) -> (http::StatusCode, String) {
    match liveness {
        Liveness::Ok => (http::StatusCode::OK, json("ok", service, &[])),
        Liveness::Degraded(reasons) => (http::StatusCode::OK, json("degraded", service, reasons)),
        Liveness::Failing(reasons) => (http::StatusCode::SERVICE_UNAVAILABLE, json("failing", service, reasons)),
    }
}

/// Status code and body of `/ready`.
pub(crate) fn readiness_json(readiness: &Readiness, service: &str) -> (http::StatusCode, String) {
    match readiness {
        Readiness::Ready => (http::StatusCode::OK, json("ready", service, &[])),
        Readiness::NotReady(reasons) => (http::StatusCode::SERVICE_UNAVAILABLE, json("not_ready", service, reasons)),
    }
}
