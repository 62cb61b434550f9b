//! What is printed: measured, target, and how the two compare.

pub(crate) fn heading() {
    println!("{:<52} {:>12} {:>12} {:>8}", "", "measured", "target", "ratio");
}

/// What the rows below are about.
pub(crate) fn note(text: &str) {
    println!("{text}");
}

pub(crate) fn at_least(name: &str, measured: f64, target: f64) {
    row(name, measured, &format!("≥ {target:.0}"), Some(measured / target), measured >= target);
}

pub(crate) fn at_most(name: &str, measured: f64, target: f64) {
    let ratio = (target > 0.0).then(|| measured / target);
    row(name, measured, &format!("≤ {target:.0}"), ratio, measured <= target);
}

/// A figure without a target.
pub(crate) fn plain(name: &str, measured: f64) {
    row(name, measured, "", None, true);
}

/// What another program does, and how many times that ours does.
pub(crate) fn peer(name: &str, measured: f64, ratio: Option<f64>) {
    row(name, measured, "ours:", ratio, true);
}

fn row(name: &str, measured: f64, target: &str, ratio: Option<f64>, met: bool) {
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}×"));
    let digits = if measured.abs() < 1_000.0 { 2 } else { 0 };
    let missed = if met { "" } else { "  missed" };
    println!("  {name:<50} {measured:>12.digits$} {target:>12} {ratio:>8}{missed}");
}
