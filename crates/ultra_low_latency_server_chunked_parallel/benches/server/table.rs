//! What was measured, as a table with ratios.

use std::fmt::Write as _;

/// What a ratio is to be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// An absolute value of ours.
    Below(f64),
    None,
}

/// One row: our figures and nginx's, a pair for each run.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) ours: Vec<f64>,
    pub(crate) nginx: Vec<f64>,
    pub(crate) target: Target,
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        "–".to_owned()
    } else {
        format!("{} ({}–{})", short(median(values)), short(low), short(high))
    }
}

fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// The table as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| work | ours | nginx | ratio | target | |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        // Of runs side by side: what else the machine does then cancels out.
        let ratios: Vec<f64> = row.ours.iter().zip(&row.nginx).map(|(ours, nginx)| ours / nginx).collect();
        let ratio = median(&ratios);
        let (target, is_met) = match row.target {
            Target::AtLeast(least) => (format!("≥ {least}×"), Some(ratio >= least)),
            Target::AtMost(most) => (format!("≤ {most}×"), Some(ratio <= most)),
            Target::Below(most) => (format!("≤ {most:.2}"), Some(median(&row.ours) <= most)),
            Target::None => ("–".to_owned(), None),
        };
        let ratio = if ratio.is_nan() { "–".to_owned() } else { format!("{ratio:.2}×") };
        let verdict = is_met.map_or("", |is_met| if is_met { "met" } else { "missed" });
        _ = writeln!(
            text,
            "| {} | {} | {} | {ratio} | {target} | {verdict} |",
            row.name,
            spread(&row.ours),
            spread(&row.nginx)
        );
    }
    text
}
