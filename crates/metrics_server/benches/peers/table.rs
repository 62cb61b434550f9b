//! What a benchmark prints.

/// A heading, and what the numbers below mean.
pub(crate) fn heading(text: &str) {
    println!("\n{text}");
}

/// One contender's line: its figures, and how many times ours its first figure is.
pub(crate) fn line(name: &str, figures: &[(f64, &str)], ours: f64) {
    let figures: Vec<String> = figures.iter().map(|(value, unit)| format!("{value:>12.2} {unit}")).collect();
    let ratio = figures_ratio(ours, &figures);
    println!("  {name:<32}{}{ratio}", figures.join("  "));
}

fn figures_ratio(ours: f64, figures: &[String]) -> String {
    let first = figures.first().and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    match first {
        Some(first) if ours > 0.0 => format!("   {:>8.2} x", first / ours),
        _ => String::new(),
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
