//! Reads `/metrics` line by line.

use std::{net::SocketAddr, time::Duration};

use crate::{eventually, http};

/// A scrape that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// One scrape.
pub struct Scrape(String);

impl Scrape {
    /// Scrapes a service; `None` while it does not answer.
    pub async fn of(address: SocketAddr) -> Option<Scrape> {
        // A service that is killed or only just starts may leave a request unanswered.
        let answer = tokio::time::timeout(PATIENCE, http::try_get(address, "/metrics")).await.ok()??;
        assert_eq!(answer.status, 200);
        Some(Scrape(answer.text()))
    }

    /// The value of the series written exactly like this, such as `up{job="x"}`.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// The sum over all series of a name whose labels contain `part`.
    pub fn sum(&self, name: &str, part: &str) -> f64 {
        self.values(name, part).sum()
    }

    fn values(&self, name: &str, part: &str) -> impl Iterator<Item = f64> {
        let series = self.0.lines().filter_map(move |line| line.strip_prefix(name)?.rsplit_once(' '));
        let ours = series.filter(|(labels, _)| labels.starts_with(['{', ' ']) || labels.is_empty());
        ours.filter(move |(labels, _)| labels.contains(part)).map(|(_, value)| value.parse::<f64>().unwrap())
    }

    /// The highest value of a name's series whose labels contain `part`; negative infinity if there is none.
    pub fn max(&self, name: &str, part: &str) -> f64 {
        self.values(name, part).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The names of all metric families.
    pub fn families(&self) -> Vec<&str> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Waits until a series has a value that `check` likes.
pub async fn wait_for(address: SocketAddr, series: &str, check: impl Fn(f64) -> bool) -> f64 {
    eventually(series, Duration::from_secs(60), || async {
        Scrape::of(address).await?.value(series).filter(|value| check(*value))
    })
    .await
}
