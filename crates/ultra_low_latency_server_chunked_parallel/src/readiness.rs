//! Whether the data directory can be served, for `/ready` and `/health`.

use std::{io, path::PathBuf, time::Duration};

use column_store::StoreError;
use metrics_server::Component;
use tokio::{task::spawn_blocking, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::data_answer::DataAnswers;

/// How often the directory is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a look at the data directory found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    /// It can be read.
    Data,
    /// It does not exist: the logger has not started yet, and is all that is missing.
    Nothing,
    /// Something that waiting will not cure; told without a path, because anybody may read `/ready`.
    Fault(&'static str),
}

/// Looks at the data directory once a second until `shutdown`, with the index of its open files, and reports to
/// `component`.
pub(crate) async fn watch(root: PathBuf, answers: DataAnswers, component: Component, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => {}
        }
        let looking_at = answers.clone();
        let looking = tokio::select! {
            // A disk that hangs must not keep the server from ending.
            () = shutdown.cancelled() => break,
            looking = spawn_blocking(move || look(&looking_at)) => looking,
        };
        let Ok((found, error)) = looking else { continue };
        if last.replace(found) != Some(found) {
            report(&component, found);
            match error {
                None => tracing::info!(data_path = %root.display(), "data directory is readable"),
                Some(error) => tracing::warn!(data_path = %root.display(), %error, "data directory cannot be served"),
            }
        }
    }
    component.finish();
}

fn look(answers: &DataAnswers) -> (Found, Option<StoreError>) {
    let swept = answers.index().sweep();
    answers.metrics().keeps(answers.index().kept_bytes());
    let found = match swept {
        Ok(()) => return (Found::Data, None),
        Err(error) => error,
    };
    let fault = match &found {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Found::Nothing,
        StoreError::NewerFormat { .. } => Found::Fault("it is of a newer format than this server knows"),
        StoreError::Io { .. } => Found::Fault("it cannot be opened; the log says why"),
        _ => Found::Fault("it cannot be understood; the log says why"),
    };
    (fault, Some(found))
}

fn report(component: &Component, found: Found) {
    component.recovered();
    match found {
        Found::Data => component.ready(),
        Found::Nothing => component.not_ready("it does not exist yet"),
        Found::Fault(reason) => component.degraded(reason),
    }
}
