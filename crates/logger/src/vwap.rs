//! The volume-weighted average price of the last five minutes.

/// Length of the window and of its steps: one bucket a second bounds the memory whatever the rate.
const SECONDS: usize = 300;

/// Σ price·size / Σ size over the last 300 s, in steps of one second of our clock.
#[derive(Debug)]
pub(crate) struct Vwap {
    /// By second modulo 300: the second, Σ price·size and Σ size.
    buckets: Vec<(u64, f64, f64)>,
}

impl Vwap {
    pub(crate) fn new() -> Vwap {
        Vwap { buckets: Vec::new() }
    }

    /// Adds a trade that arrived at `second`.
    pub(crate) fn add(&mut self, second: u64, price: f64, size: f64) {
        if self.buckets.is_empty() {
            self.buckets = vec![(0, 0.0, 0.0); SECONDS];
        }
        let at = usize::try_from(second % SECONDS as u64).unwrap_or(0);
        let Some(bucket) = self.buckets.get_mut(at) else { return };
        if bucket.0 != second {
            *bucket = (second, 0.0, 0.0);
        }
        bucket.1 += price * size;
        bucket.2 += size;
    }

    /// The average at `second`; `None` if nothing was traded in the window.
    pub(crate) fn at(&self, second: u64) -> Option<f64> {
        let oldest = (second + 1).saturating_sub(SECONDS as u64);
        let recent = self.buckets.iter().filter(|(at, ..)| (oldest..=second).contains(at));
        let (value, size) = recent.fold((0.0, 0.0), |(value, size), bucket| (value + bucket.1, size + bucket.2));
        (size > 0.0).then(|| value / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighs_by_size_and_forgets_after_five_minutes() {
        let mut vwap = Vwap::new();
        assert_eq!(vwap.at(1_000), None);
        vwap.add(1_000, 10.0, 1.0);
        vwap.add(1_000, 20.0, 3.0);
        assert_eq!(vwap.at(1_000), Some(17.5));
        vwap.add(1_200, 30.0, 4.0);
        assert_eq!(vwap.at(1_299), Some(23.75));
        assert_eq!(vwap.at(1_300), Some(30.0), "the first second has left the window");
        assert_eq!(vwap.at(1_500), None);
    }
}
