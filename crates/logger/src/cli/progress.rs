//! How far a command is, on stderr: a bar on a terminal, else a line now and then.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::terminal;

/// Between two lines where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct ProgressReport {
    command: &'static str,
    /// What is counted, such as `days`.
    unit: &'static str,
    bar: Option<ProgressBar>,
    next_line: Instant,
}

impl ProgressReport {
    pub(crate) fn new(command: &'static str, unit: &'static str) -> ProgressReport {
        let bar = terminal::can_redraw().then(|| {
            let template = format!("{command} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{eta}} left  {{msg}}");
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        ProgressReport { command, unit, bar, next_line: Instant::now() + LINE_EVERY }
    }

    /// `done` of `total` are done, and `what` is next.
    pub(crate) fn at(&mut self, done: u64, total: u64, what: &dyn std::fmt::Display) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(what.to_string());
        } else if Instant::now() >= self.next_line {
            let ProgressReport { command, unit, .. } = self;
            let (done, total) = (HumanCount(done), HumanCount(total));
            terminal::complain(format_args!("{command}: {done} of {total} {unit}, at {what}"));
            self.next_line = Instant::now() + LINE_EVERY;
        }
    }

    /// Writes to stdout, which may be the same terminal.
    pub(crate) fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| terminal::print(text)),
            None => terminal::print(text),
        }
    }

    /// The bar goes away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
