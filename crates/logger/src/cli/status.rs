//! The status line of a terminal: drawn anew once a second, out of the way of log lines.

use std::{io, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use super::terminal;
use crate::VitalSigns;

const REDRAW: Duration = Duration::from_secs(1);

/// The line, if there is a terminal for it.
#[derive(Clone)]
pub(super) struct StatusLine(Option<ProgressBar>);

impl StatusLine {
    /// None where stderr is no terminal that can draw a line anew, or it is not wanted.
    pub(super) fn new(wanted: bool) -> StatusLine {
        StatusLine((wanted && terminal::can_redraw()).then(|| {
            let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new_spinner().with_style(style)
        }))
    }

    /// Shows these until the runtime ends.
    pub(super) fn show(&self, signs: VitalSigns) {
        let Some(bar) = self.0.clone() else { return };
        tokio::spawn(async move {
            let mut every = tokio::time::interval(REDRAW);
            let mut vitals = None;
            loop {
                every.tick().await;
                let now = signs.now(vitals.as_ref());
                bar.set_message(now.to_string());
                bar.tick();
                vitals = Some(now);
            }
        });
    }

    /// The line goes away.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Writes log lines to stderr, with the status line out of the way.
impl io::Write for StatusLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(bar) => bar.suspend(|| io::stderr().lock().write(bytes)),
            None => io::stderr().lock().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl<'a> MakeWriter<'a> for StatusLine {
    type Writer = StatusLine;

    fn make_writer(&'a self) -> StatusLine {
        self.clone()
    }
}
